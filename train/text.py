"""The text encoder: embedded and trained on the data set's own sentences, or any from Hugging Face.

Enters: sentences of the train split, a `TextConfig`. Leaves: a `Tokens` (words to ids) and a transformer. Refuses:
to reach for the network unless a Hugging Face name is configured, and to load weights that need pickle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from t3dkit.errors import ConfigError
from t3dkit.progress import Progress
from train.checkpoint import Keeper
from train.config import TextConfig

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WARMUP_BATCH = 32
WARMUP_RATE = 1e-3
MASKED_SHARE = 0.15
"""Share of tokens to predict, as in BERT (Devlin et al., arXiv 1810.04805, section 3.1)."""
IGNORED = -100
"""Label of a token that is not to be predicted."""


class Tokens:
    """Words to ids, by a `tokenizers.Tokenizer`; sentences longer than `max_tokens` are cut."""

    def __init__(self, backend: Any, max_tokens: int) -> None:
        self.backend = backend
        self.max_tokens = max_tokens
        self.pad_id = int(next(filter(lambda n: n is not None, map(backend.token_to_id, ("[PAD]", "<pad>"))), 0))
        backend.enable_truncation(max_length=max_tokens)
        backend.no_padding()

    @property
    def size(self) -> int:
        """Number of ids."""
        return int(self.backend.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(n, max_tokens) int64 ids and (n, max_tokens) bool, true where there is a token."""
        ids = np.full((len(texts), self.max_tokens), self.pad_id, dtype=np.int64)
        held = np.zeros((len(texts), self.max_tokens), dtype=bool)
        for row, encoding in enumerate(self.backend.encode_batch(list(texts))):
            ids[row, : len(encoding.ids)] = encoding.ids
            held[row, : len(encoding.ids)] = True
        return ids, held

    def to_json(self) -> str:
        """The tokenizer as the `tokenizers` library reads it back."""
        return str(self.backend.to_str())


def read_tokens(text: str, max_tokens: int) -> Tokens:
    """The tokenizer of a run."""
    from tokenizers import Tokenizer

    return Tokens(Tokenizer.from_str(text), max_tokens)


def train_tokens(texts: Sequence[str], config: TextConfig) -> Tokens:
    """A WordPiece vocabulary learned from `texts`, lower case, split as BERT splits."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    words = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    vocabulary = {piece: number for number, piece in enumerate(choose_pieces(words, config.vocabulary))}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token=SPECIAL[1]))
    backend.normalizer, backend.pre_tokenizer, backend.decoder = normalizer, splitter, decoders.WordPiece()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    )
    return Tokens(backend, config.max_tokens)


def choose_pieces(words: Mapping[str, int], size: int) -> list[str]:
    """The pieces of a WordPiece vocabulary: characters, frequent words, then frequent endings and beginnings.

    The library's own trainer breaks ties at random, so two runs of one seed would differ; this one sorts.

    Parameters
    ----------
    words : mapping
        Word -> how often it occurs.
    size : int
        Most pieces; all single characters are always in, so that any word of the corpus can be spelt.
    """
    characters = sorted({letter for word in words for letter in word})
    pieces = [*SPECIAL, *characters, *("##" + letter for letter in characters)]
    left = max(0, size - len(pieces))
    ranked = sorted((word for word, n in words.items() if n > 1 and len(word) > 1), key=lambda w: (-words[w], w))
    kept = ranked[: left * 3 // 4 if len(ranked) > left else left]
    parts: Counter[str] = Counter()
    for word in sorted(set(words) - set(kept)):
        for cut in range(1, len(word)):
            parts[word[:cut]] += words[word]
            parts["##" + word[cut:]] += words[word]
    spare = [part for part in parts if len(part.removeprefix("##")) > 1 and part not in set(kept)]
    # A longer piece saves more tokens each time it is used.
    spare.sort(key=lambda part: (-parts[part] * (len(part.removeprefix("##")) - 1), part))
    return pieces + kept + spare[: left - len(kept)]


def build_encoder(config: TextConfig, *, vocabulary: int) -> tuple[nn.Module, dict[str, Any]]:
    """The embedded transformer with fresh weights, and the configuration to build it again."""
    from transformers import BertConfig

    settings = BertConfig(
        vocab_size=vocabulary,
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=4 * config.width,
        max_position_embeddings=config.max_tokens,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ).to_dict()
    return rebuild_encoder(settings), settings


def rebuild_encoder(settings: dict[str, Any]) -> nn.Module:
    """A transformer with fresh weights from a Hugging Face configuration."""
    from transformers import AutoConfig, AutoModel

    known = {key: value for key, value in settings.items() if key not in ("transformers_version", "_name_or_path")}
    config = AutoConfig.for_model(**known)
    extra = {"add_pooling_layer": False} if config.model_type in ("bert", "roberta") else {}
    return AutoModel.from_config(config, attn_implementation="sdpa", **extra)


def load_encoder(config: TextConfig) -> tuple[nn.Module, dict[str, Any], Tokens]:
    """An encoder of Hugging Face, by name or folder, with its tokenizer.

    Raises
    ------
    ConfigError
        It is not there, has no fast tokenizer, or its weights are no safetensors.
    """
    from transformers import AutoModel, AutoTokenizer

    is_folder = Path(config.encoder).is_dir()
    try:
        tokenizer = AutoTokenizer.from_pretrained(config.encoder, use_fast=True, local_files_only=is_folder)
        encoder = AutoModel.from_pretrained(config.encoder, use_safetensors=True, local_files_only=is_folder)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"text.encoder {config.encoder!r} cannot be loaded ({type(error).__name__}): give a folder with "
            "config.json, model.safetensors and tokenizer.json, a name that can be downloaded, or '' for the "
            "embedded encoder"
        ) from None
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ConfigError(f"text.encoder {config.encoder!r} has no fast tokenizer (tokenizer.json)")
    return encoder, encoder.config.to_dict(), Tokens(backend, config.max_tokens)


def warm_up(
    encoder: nn.Module,
    tokens: Tokens,
    texts: Sequence[str],
    folder: Path,
    *,
    steps: int,
    every: int,
    seed: int,
    progress: Progress,
) -> list[float]:
    """Masked-language training of `encoder` on `texts`, in place, with checkpoints in `folder` that it goes on from.

    Eight of ten chosen tokens become ``[MASK]``, one a random token, one stays, as in BERT. The head is a linear
    map tied to the word embedding and is thrown away.

    Returns
    -------
    list of float
        Losses of the steps made just now, nats per token.
    """
    ids_all, held_all = tokens.encode(sorted(set(texts)))
    rng = np.random.default_rng([seed, 7])
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=WARMUP_RATE)
    embedding = encoder.get_input_embeddings()  # type: ignore[operator]
    keeper = Keeper(folder, encoder, optimizer, steps=steps, every=every, progress=progress)
    first = keeper.restore()
    losses: list[float] = []
    encoder.train()
    with keeper.listening(), progress.task("text warm-up", steps) as task:
        task.advance(first)
        for step in range(steps):
            rows = rng.integers(0, len(ids_all), size=min(WARMUP_BATCH, len(ids_all)))
            longest = int(held_all[rows].sum(axis=1).max())
            held = held_all[rows, :longest]
            ids, labels = _masked(ids_all[rows, :longest], held, tokens, rng)
            if step < first:  # drawn again, so that what comes next is what came next
                continue
            mask = torch.from_numpy(held)
            hidden = encoder(input_ids=torch.from_numpy(ids), attention_mask=mask.long()).last_hidden_state
            chosen = torch.from_numpy(labels != IGNORED)
            logits = hidden[chosen] @ embedding.weight.T  # (chosen, vocabulary)
            loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels)[chosen])
            for group in optimizer.param_groups:
                group["lr"] = WARMUP_RATE * min(1.0, (step + 1) / 20)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
            optimizer.step()
            losses.append(float(loss.detach()))
            task.advance(note=f"loss {losses[-1]:.3f}")
            keeper.after(step + 1)
    return losses


def _masked(
    ids: np.ndarray, held: np.ndarray, tokens: Tokens, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    chosen = held & (rng.random(ids.shape) < MASKED_SHARE)
    chosen[0, 1] |= held[0, 1]  # never a batch without a single label
    fate = rng.random(ids.shape)
    mask_id = tokens.backend.token_to_id("[MASK]")
    masked = np.where(chosen & (fate < 0.8), mask_id, ids)
    masked = np.where(chosen & (fate >= 0.9), rng.integers(len(SPECIAL), tokens.size, ids.shape), masked)
    return masked, np.where(chosen, ids, IGNORED)
