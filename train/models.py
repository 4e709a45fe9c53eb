"""T3D: the image encoder, the text encoder, what joins them, and the loss terms of a batch.

Enters: a configuration and a text encoder, then batches. Leaves: loss terms, restorations, features. Refuses:
nothing here draws, reads files or steps an optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from train.batch import Batch
from train.config import Config
from train.distributed import gather, rank, world_size
from train.losses import contrast_loss, cosines, is_covered, restoration_loss, sigmoid_loss, soft_targets
from train.networks import build_backbone
from train.readout import Fusion, Readout

STANDARDISED_TOGETHER = 8
"""Crops that go through the encoder at once where a scale is set; more would need more memory than a step."""


@dataclass(frozen=True)
class Reading:
    """What the contrastive terms need of b studies."""

    text: torch.Tensor  # (b, k, s, d), of each study's sentences, the drawn one first; empty: no text is read
    held: torch.Tensor  # (b, k, s) bool
    view_a: torch.Tensor  # (b, n, d), visual tokens; empty where no term is contrastive
    view_b: torch.Tensor  # (b, n, d)
    text_key: torch.Tensor  # (b, k) int64, for false negatives, see `Sentence`
    normal_key: torch.Tensor  # (b, k) int64


class T3D(nn.Module):
    """The model of a run; which parts exist depends on the method. The text encoder is one of Hugging Face."""

    def __init__(self, config: Config, text_encoder: nn.Module) -> None:
        super().__init__()
        self.config = config
        tcl, tir, align = config.tcl, config.tir, config.align
        self.backbone = build_backbone(config.image, activation_checkpointing=config.loop.activation_checkpointing)
        self.width = width = int(text_encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.text_encoder = text_encoder
        text_encoder.requires_grad_(config.text.trainable)
        for name, n in (("text", width), ("sentence", width), ("visual", self.backbone.width)):
            self.register_buffer(f"{name}_mean", torch.zeros(n))
            self.register_buffer(f"{name}_std", torch.ones(n))
        self.visual = nn.Linear(self.backbone.width, width)
        reads = bool(tcl.weight) and tcl.form != "no_text"
        self.readout = Readout(width, tcl.width) if reads else None
        self.no_text_head = _head(width, tcl.width) if tcl.weight and not reads else None
        self.fusion = Fusion(self.backbone.width, width) if tir.weight and tir.text else None
        self.restore_head = nn.Conv3d(self.backbone.features, 1, kernel_size=1) if tir.weight else None
        self.align = Align(config, width) if align.weight else None

    @property
    def uses_text(self) -> bool:
        """Whether any loss term reads the sentences."""
        return self.readout is not None or self.fusion is not None or self.align is not None

    @property
    def is_contrastive(self) -> bool:
        """Whether any loss term compares studies."""
        return bool(self.config.tcl.weight or self.config.align.weight)

    def train(self, mode: bool = True) -> T3D:
        """As torch's; the text encoder never drops out, so that a micro-batch read twice reads the same."""
        super().train(mode)
        self.text_encoder.eval()
        return self

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The unweighted loss terms of a batch, by name: ``tcl``, ``tir``, ``align``."""
        reading = self.read(batch)
        return {**self.contrastive(reading), **self.restoration(batch, reading)}

    def total(self, terms: dict[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum of loss terms."""
        weights = {"tcl": self.config.tcl.weight, "tir": self.config.tir.weight, "align": self.config.align.weight}
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()

    def read(self, batch: Batch) -> Reading:
        """Both encoders over a batch."""
        empty = batch.views.new_zeros(len(batch.ids), 0, self.width)
        text, view_a, view_b = empty[:, None], empty, empty
        if self.uses_text:
            text = self.encode_text(batch.ids, batch.held)
        if self.is_contrastive:
            view_a, view_b = self.visual_tokens(batch.views.flatten(0, 1)).unflatten(0, (-1, 2)).unbind(1)
        return Reading(text, batch.held, view_a, view_b, batch.text_key, batch.normal_key)

    def encode_text(self, ids: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
        """Tokens of k sentences each, read apart: (b, k, s) -> (b, k, s, d)."""
        flat_ids, flat_held = ids.flatten(0, 1), held.flatten(0, 1)
        present = flat_held.any(dim=1)
        full = self.text_mean.new_zeros(*flat_ids.shape, self.width)
        if present.any():
            mask = flat_held[present].long()
            tokens = self.text_encoder(flat_ids[present], attention_mask=mask).last_hidden_state.to(full.dtype)
            full[present] = (tokens - self.text_mean) / self.text_std
        return full.unflatten(0, ids.shape[:2])

    def sentences(self, text: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
        """Tokens (..., s, d) of sentences as one vector each, (..., d): standardised mean."""
        weight = held.unsqueeze(-1).to(text.dtype)
        pooled = (text * weight).sum(dim=-2) / weight.sum(dim=-2).clamp(min=1)
        return (pooled - self.sentence_mean) / self.sentence_std

    @torch.no_grad()
    def standardise_text(self, ids: torch.Tensor, held: torch.Tensor) -> None:
        """Make tokens and means of typical sentences (n, s) zero-mean and unit-variance, channel by channel.

        A transformer's tokens share much of their direction whatever the sentence, and nine tenths of the length of
        a sentence's mean is the same for all. Without that share, what tells sentences apart is what a short
        training sees first; with it, alignment did not leave its first loss.
        """
        tokens = self.encode_text(ids[:, None], held[:, None])[:, 0]
        self.text_mean, self.text_std = tokens[held].mean(dim=0), tokens[held].std(dim=0).clamp(min=1e-3)
        means = self.sentences((tokens - self.text_mean) / self.text_std, held)
        self.sentence_mean, self.sentence_std = means.mean(dim=0), means.std(dim=0).clamp(min=1e-3)

    def visual_tokens(self, crops: torch.Tensor) -> torch.Tensor:
        """(m, 1, c, c, c) -> (m, n, d), the bottleneck as tokens."""
        return self.project(self.backbone.encode(crops)[0].flatten(2).transpose(1, 2))

    def project(self, places: torch.Tensor) -> torch.Tensor:
        """(m, n, channels) places of the bottleneck -> (m, n, d) visual tokens."""
        return self.visual((places - self.visual_mean) / self.visual_std)

    @torch.no_grad()
    def standardise_crops(self, crops: torch.Tensor) -> None:
        """Make the bottleneck of typical crops (m, 1, c, c, c) zero-mean and unit-variance, channel by channel.

        What fresh weights make of any two crops is nearly the same vector; comparing by cosine would start from
        similarities that are all equal, and a short training would not get past that.
        """
        parts = crops.split(STANDARDISED_TOGETHER)
        places = torch.cat([self.backbone.encode(part)[0].flatten(2) for part in parts])  # (m, channels, n)
        self.visual_mean, self.visual_std = places.mean(dim=(0, 2)), places.std(dim=(0, 2)).clamp(min=1e-3)

    def restoration(self, batch: Batch, reading: Reading) -> dict[str, torch.Tensor]:
        """TIR, where the method restores."""
        if self.restore_head is None:
            return {}
        restored = self.restore(batch.corrupted, reading.text, reading.held)
        return {"tir": restoration_loss(restored, batch.clean, batch.hidden)}

    def restore(self, corrupted: torch.Tensor, text: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
        """(b, 1, c, c, c) corrupted crops and (b, k, s, d) text -> (b, 1, c, c, c) restored crops."""
        bottleneck, skips = self.backbone.encode(corrupted)
        if self.fusion is not None:
            bottleneck = self.fusion(bottleneck, text.flatten(1, 2), held.flatten(1, 2))
        assert self.restore_head is not None
        return self.restore_head(self.backbone.decode(bottleneck, skips))

    @torch.no_grad()
    def restored(self, batch: Batch) -> torch.Tensor | None:
        """(b, 1, c, c, c) float32 restorations of a batch's corrupted crops, on the CPU; None without TIR."""
        if self.restore_head is None:
            return None
        text = self.encode_text(batch.ids, batch.held) if self.uses_text else batch.views
        return self.restore(batch.corrupted, text, batch.held).float().cpu()

    def contrastive(self, reading: Reading) -> dict[str, torch.Tensor]:
        """The terms that compare our b studies with the B of all processes."""
        terms: dict[str, torch.Tensor] = {}
        if not self.is_contrastive:
            return terms
        n_own = len(reading.view_a)
        text_key, normal_key = gather(reading.text_key), gather(reading.normal_key)
        offset = rank() * n_own
        if self.config.tcl.weight:
            # Of the drawn sentences alone: crops of one region nearly always share some normal statement.
            drawn = text_key[:, :1], normal_key[:, :1]
            soft = self.config.tcl.soft_positive if self.no_text_head is None else 0.0  # without text, each is its own
            targets = soft_targets(*drawn, n_own=n_own, offset=offset, soft_positive=soft)  # (b, B)
            forth = contrast_loss(self.contrast(reading), targets)
            swapped = replace(reading, view_a=reading.view_b, view_b=reading.view_a)
            terms["tcl"] = 0.5 * (forth + contrast_loss(self.contrast(swapped), targets))
        if self.align is not None:
            terms["align"] = self._align(reading, text_key, normal_key, offset)
        return terms

    def _align(self, reading: Reading, text_key: torch.Tensor, normal_key: torch.Tensor, offset: int) -> torch.Tensor:
        """Every sentence our crops cover, or our whole reports, against the crops of all processes."""
        assert self.align is not None
        n_own, k = reading.text_key.shape
        tokens = gather(reading.view_a)
        if self.config.align.whole_report:
            rows = self.sentences(reading.text.flatten(1, 2), reading.held.flatten(1, 2))  # (b, d)
            own = torch.arange(n_own, device=rows.device)
            covers = torch.zeros(n_own, len(tokens), dtype=torch.bool, device=rows.device)
            covers[own, own + offset] = True
            return sigmoid_loss(self.align(rows, tokens), covers).sum() / n_own
        rows = self.sentences(reading.text, reading.held).flatten(0, 1)  # (b k, d)
        covers = is_covered(reading.text_key.flatten(), text_key)
        covers |= is_covered(reading.normal_key.flatten(), normal_key)  # (b k, B)
        present = reading.held.any(dim=-1).flatten()
        return sigmoid_loss(self.align(rows[present], tokens), covers[present]).sum() / (n_own * k)

    def contrast(self, reading: Reading) -> torch.Tensor:
        """(b, B) logits of TCL: our anchors in view a against view b of all processes."""
        temperature = self.config.tcl.temperature
        if self.no_text_head is not None:
            a, b = (self.no_text_head(view.mean(dim=1)) for view in (reading.view_a, reading.view_b))
            return cosines(a, gather(b)) / temperature
        assert self.readout is not None
        text, held = reading.text[:, 0], reading.held[:, 0]
        return tcl_logits(self.readout, text, held, reading.view_a, reading.view_b, self.config.tcl.form) / temperature


def placed(model: T3D, device: torch.device) -> T3D:
    """The model on a device, its image encoder in the memory order that is fastest there.

    On two CPU cores channels last saves a fifth of a step of the U-Net; on an H200 it costs a fifth of one of
    SwinUNETR-48 in bf16.
    """
    order = torch.channels_last_3d if device.type == "cpu" else torch.contiguous_format
    model.to(device).backbone.to(memory_format=order)  # type: ignore[call-overload]
    return model


def tcl_logits(
    readout: Readout, text: torch.Tensor, held: torch.Tensor, view_a: torch.Tensor, view_b: torch.Tensor, form: str
) -> torch.Tensor:
    """(b, B) similarities of one form of TCL.

    ``conditioned``: <R(t_i, F_i^a), R(t_i, F_j^b)>; ``obvious``: <R(t_i, F_i^a), R(t_j, F_j^b)>.

    Parameters
    ----------
    text, held : (b, s, d), (b, s)
        The drawn sentences.
    view_a, view_b : (b, n, d)
        Visual tokens of the two views.
    """
    anchor = readout.paired(text, held, view_a)
    if form == "conditioned":
        return cosines(anchor, readout(text, held, gather(view_b)))  # row i is read under text i
    return cosines(anchor, gather(readout.paired(text, held, view_b)))  # each is read under its own text


def _head(width: int, out: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, out))


class Align(nn.Module):
    """Logits of sentences (or whole reports) against crops.

    With `align.attend` the sentence attends to the places of the crop, and what it reads there, without the
    sentence itself, is compared with it; otherwise the crop is the mean of its places.
    """

    def __init__(self, config: Config, width: int) -> None:
        super().__init__()
        self.text = nn.Linear(width, config.align.width)
        self.readout = Readout(width, config.align.width, keeps_text=False) if config.align.attend else None
        self.image = None if config.align.attend else nn.Linear(width, config.align.width)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        # One positive among the global batch: at this bias the first loss is not drowned by the negatives.
        n_global = config.loop.batch * config.loop.accumulate * world_size()
        self.bias = nn.Parameter(torch.tensor(-math.log(n_global)))

    def forward(self, sentences: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """(r, d) sentences and (m, n, d) crops -> (r, m) logits."""
        if self.readout is not None:
            image = self.readout(*as_query(sentences), tokens)  # (r, m, out)
        else:
            assert self.image is not None
            image = self.image(tokens.mean(dim=1))  # (m, out)
        return cosines(self.text(sentences), image) * self.log_scale.exp() + self.bias


def as_query(sentences: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(r, d) sentences as (r, 1, d) tokens that are all there."""
    return sentences[:, None], torch.ones(len(sentences), 1, dtype=torch.bool, device=sentences.device)


def joined(readings: Sequence[Reading]) -> Reading:
    """Readings of micro-batches as one."""
    return Reading(*(torch.cat(parts) for parts in zip(*(vars(one).values() for one in readings), strict=True)))
