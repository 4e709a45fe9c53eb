"""Backbones equal MONAI's own forward; the readout's grid equals its pairs; text is read sentence by sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from t3dkit.errors import ConfigError
from t3dkit.progress import Progress
from train.config import ImageConfig, TextConfig
from train.networks import build_backbone
from train.readout import Fusion, Readout, positions
from train.text import (
    build_encoder,
    choose_pieces,
    load_encoder,
    read_tokens,
    rebuild_encoder,
    train_tokens,
    warm_up,
)

TEXTS = ["The liver is normal.", "There is a 12 mm cyst in the liver.", "No effusion.", "A large nodule is seen."]


@pytest.mark.parametrize(
    ("image", "edge", "checkpointing"),
    [
        (ImageConfig(channels=(8, 16, 16), features=4), 16, False),
        (ImageConfig(channels=(8, 16, 16), features=4), 16, True),
        (ImageConfig(network="segresnet", features=8), 16, True),
        (ImageConfig(network="swinunetr", features=12), 64, True),
    ],
    ids=["unet", "unet-checkpointed", "segresnet", "swinunetr"],
)
def test_encode_and_decode_are_monais_forward(image: ImageConfig, edge: int, checkpointing: bool) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(image, activation_checkpointing=checkpointing).eval()
    crop = torch.randn(1, 1, edge, edge, edge)
    bottleneck, skips = backbone.encode(crop)
    assert bottleneck.shape[1] == backbone.width
    decoded = backbone.decode(bottleneck, skips)
    assert decoded.shape == (1, backbone.features, edge, edge, edge)
    torch.testing.assert_close(decoded, backbone.network(crop), rtol=1e-4, atol=1e-5)
    decoded.sum().backward()


def test_resnet50_gives_a_map_and_restores_full_size() -> None:
    backbone = build_backbone(ImageConfig(network="resnet50")).eval()
    with torch.no_grad():
        crop = torch.randn(1, 1, 32, 32, 32)
        bottleneck, skips = backbone.encode(crop)
        assert bottleneck.shape == (1, 2048, 2, 2, 2)
        assert backbone.decode(bottleneck, skips).shape == (1, 8, 32, 32, 32)
        pooled = backbone.network(crop)
    torch.testing.assert_close(bottleneck.mean(dim=(2, 3, 4)), pooled, rtol=1e-4, atol=1e-5)


def test_grid_equals_pairs_and_padding_is_ignored() -> None:
    torch.manual_seed(0)
    readout = Readout(16, 8)
    text, visual = torch.randn(3, 5, 16), torch.randn(4, 7, 16)
    held = torch.arange(5)[None] < torch.tensor([5, 2, 3])[:, None]
    grid = readout(text, held, visual)
    for j in range(4):
        pairs = readout.paired(text, held, visual[j : j + 1].expand(3, -1, -1))
        torch.testing.assert_close(grid[:, j], pairs)
    noisy = torch.where(held[..., None], text, torch.randn_like(text))
    torch.testing.assert_close(readout(noisy, held, visual), grid)
    assert torch.allclose(readout.attention(text, held, visual[:3]).sum(dim=1), torch.ones(3))


def test_fusion_reads_the_text_from_the_first_step_and_ignores_padding() -> None:
    torch.manual_seed(0)
    fusion = Fusion(12, 16)
    bottleneck, text = torch.randn(2, 12, 3, 3, 3), torch.randn(2, 4, 16)
    held = torch.tensor([[True, True, False, False], [True, True, True, True]])
    out = fusion(bottleneck, text, held)
    assert (fusion(bottleneck, text.flip(0), held.flip(0)) - out).abs().max() > 1e-3
    noisy = torch.where(held[..., None], text, torch.randn_like(text))
    torch.testing.assert_close(fusion(bottleneck, noisy, held), out)
    assert torch.isfinite(fusion(bottleneck, text, torch.zeros_like(held))).all()


def test_positions_differ_everywhere() -> None:
    grid = positions(4, 24, torch.zeros(1))
    assert grid.shape == (64, 24)
    assert len({tuple(row.tolist()) for row in grid}) == 64


def test_the_vocabulary_is_the_same_in_every_run_and_spells_any_word_of_the_corpus() -> None:
    config = TextConfig(vocabulary=80, max_tokens=24)
    one, two = train_tokens(TEXTS, config), train_tokens(TEXTS[::-1], config)
    assert one.to_json() == two.to_json()
    ids, held = one.encode([*TEXTS, "lover"])
    assert one.backend.token_to_id("[UNK]") not in ids[held]
    assert (ids[~held] == one.pad_id).all()
    read = read_tokens(one.to_json(), 24)
    assert (read.encode(TEXTS)[0] == ids[:4]).all()


def test_pieces_keep_to_their_number_and_take_frequent_words_first() -> None:
    pieces = choose_pieces({"liver": 9, "lung": 8, "livers": 2, "a": 3}, 40)
    assert len(pieces) == len(set(pieces)) <= 40
    assert {"liver", "lung", "livers", "a", "##s"} <= set(pieces)
    few = choose_pieces({"liver": 9, "lung": 8, "livers": 2, "a": 3}, 27)
    assert "liver" in few
    assert "livers" not in few


def test_long_sentences_are_cut(tmp_path: object) -> None:
    tokens = train_tokens(TEXTS, TextConfig(max_tokens=6))
    ids, held = tokens.encode(["cyst " * 50])
    assert ids.shape == (1, 6)
    assert held.all()


def test_warm_up_learns_and_repeats_bit_for_bit(tmp_path: Path) -> None:
    config = TextConfig(width=32, vocabulary=100, max_tokens=16)
    tokens = train_tokens(TEXTS, config)

    def run(name: str) -> tuple[list[float], dict[str, torch.Tensor]]:
        torch.manual_seed(0)
        encoder, settings = build_encoder(config, vocabulary=tokens.size)
        quiet = Progress(quiet=True)
        losses = warm_up(encoder, tokens, TEXTS, tmp_path / name, steps=60, every=60, seed=0, progress=quiet)
        rebuild_encoder(settings).load_state_dict(encoder.state_dict())
        return losses, encoder.state_dict()

    (first, weights), (second, again) = run("first"), run("second")
    assert first == second
    assert sum(first[-6:]) / 6 < 0.8 * sum(first[:2]) / 2
    assert all((weights[name] == again[name]).all() for name in weights)


def test_an_encoder_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_encoder(TextConfig(encoder=str(tmp_path)))


def test_a_folder_of_hugging_face_is_an_encoder(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path
    tokens = train_tokens(TEXTS, TextConfig(max_tokens=16))
    settings = BertConfig(
        vocab_size=tokens.size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(settings).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokens.backend, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        folder
    )
    encoder, table, read = load_encoder(TextConfig(encoder=str(folder), max_tokens=16))
    assert table["hidden_size"] == 16
    assert (read.encode(TEXTS)[0] == tokens.encode(TEXTS)[0]).all()
    ids, held = (torch.from_numpy(array) for array in read.encode(TEXTS))
    again = rebuild_encoder(table)
    again.load_state_dict({k: v for k, v in encoder.state_dict().items() if not k.startswith("pooler")}, strict=True)
    one, two = (m.eval()(ids, attention_mask=held.long()).last_hidden_state for m in (encoder, again))
    torch.testing.assert_close(one, two)
