"""T3D: the image encoder, the text encoder, what joins them, and the loss terms of a batch.

Enters: a configuration and a text encoder, then batches. Leaves: loss terms, restorations, features. Refuses:
nothing here draws, reads files or steps an optimizer.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from train.batch import Batch
from train.config import Config
from train.distributed import gather, rank, world_size
from train.losses import contrast_logits, contrast_loss, restoration_loss, sigmoid_loss, soft_targets
from train.networks import build_backbone
from train.readout import Fusion, Readout


class T3D(nn.Module):
    """The model of a run; which parts exist depends on the method.

    Parameters
    ----------
    config : Config
        Of the run.
    text_encoder : nn.Module
        A transformer of Hugging Face.
    """

    def __init__(self, config: Config, text_encoder: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.image, activation_checkpointing=config.loop.activation_checkpointing)
        # A fifth faster on a CPU.
        self.backbone.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        width = int(text_encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.text_encoder = text_encoder
        text_encoder.requires_grad_(config.text.trainable)
        self.register_buffer("text_mean", torch.zeros(width))
        self.register_buffer("text_std", torch.ones(width))
        self.visual = nn.Linear(self.backbone.width, width)
        self.readout = Readout(width, config.tcl.width) if config.tcl.weight and config.tcl.form != "no_text" else None
        self.no_text_head = (
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, config.tcl.width))
            if config.tcl.weight and config.tcl.form == "no_text"
            else None
        )
        self.fusion = Fusion(self.backbone.width, width) if config.tir.weight and config.tir.text else None
        self.restore_head = nn.Conv3d(self.backbone.features, 1, kernel_size=1) if config.tir.weight else None
        if config.align.weight:
            self.align_text = nn.Linear(width, config.align.width)
            self.align_image = nn.Linear(width, config.align.width)
            self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
            # One positive among the global batch: at this bias the first loss is not drowned by the negatives.
            self.bias = nn.Parameter(torch.tensor(-math.log(config.loop.batch * world_size())))

    @property
    def uses_text(self) -> bool:
        """Whether any loss term reads the sentences."""
        return self.readout is not None or self.fusion is not None or bool(self.config.align.weight)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The unweighted loss terms of a batch, by name: ``tcl``, ``tir``, ``align``."""
        terms: dict[str, torch.Tensor] = {}
        longest = max(1, int(batch.held.sum(dim=-1).max()))  # columns that no sentence reaches cost time
        text, held = (
            self.encode_text(batch.ids[..., :longest], batch.held[..., :longest]) if self.uses_text else (None, None)
        )
        if self.config.tcl.weight or self.config.align.weight:
            tokens_a, tokens_b = self.visual_tokens(batch.views.flatten(0, 1)).unflatten(0, (-1, 2)).unbind(1)
            targets = self.targets(batch)
            if self.config.tcl.weight:
                terms["tcl"] = self._tcl(text, held, tokens_a, tokens_b, targets)
            if self.config.align.weight:
                assert text is not None and held is not None  # noqa: PT018 - uses_text holds when align is on
                terms["align"] = self._align(text, held, tokens_a, targets)
        if self.config.tir.weight:
            restored = self.restore(batch.corrupted, text, held)
            terms["tir"] = restoration_loss(restored, batch.clean, batch.hidden)
        return terms

    def total(self, terms: dict[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum of loss terms."""
        weights = {"tcl": self.config.tcl.weight, "tir": self.config.tir.weight, "align": self.config.align.weight}
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()

    def encode_text(self, ids: torch.Tensor, held: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens of k sentences each, read apart: (b, k, s) -> (b, k, s, d), held (b, k, s)."""
        flat_ids, flat_held = ids.flatten(0, 1), held.flatten(0, 1)
        present = flat_held.any(dim=1)
        width = int(self.text_encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]
        full = torch.zeros(*flat_ids.shape, width, device=ids.device)
        if present.any():
            mask = flat_held[present].long()
            tokens = self.text_encoder(flat_ids[present], attention_mask=mask).last_hidden_state.float()
            full[present] = (tokens - self.text_mean) / self.text_std
        return full.unflatten(0, ids.shape[:2]), held

    @torch.no_grad()
    def standardise_text(self, ids: torch.Tensor, held: torch.Tensor) -> None:
        """Make the text tokens of typical sentences (n, s) zero-mean and unit-variance, channel by channel.

        A transformer's tokens share much of their direction whatever the sentence; without that share, what tells
        sentences apart is what a short training sees first.
        """
        tokens = self.encode_text(ids[:, None], held[:, None])[0][:, 0][held]
        self.text_mean, self.text_std = tokens.mean(dim=0), tokens.std(dim=0).clamp(min=1e-3)

    def visual_tokens(self, crops: torch.Tensor) -> torch.Tensor:
        """(m, 1, c, c, c) -> (m, n, d), the bottleneck as tokens."""
        bottleneck, _ = self.backbone.encode(crops)
        return self.visual(bottleneck.flatten(2).transpose(1, 2))

    def restore(self, corrupted: torch.Tensor, text: torch.Tensor | None, held: torch.Tensor | None) -> torch.Tensor:
        """(b, 1, c, c, c) corrupted crops and (b, k, s, d) text -> (b, 1, c, c, c) restored crops."""
        bottleneck, skips = self.backbone.encode(corrupted)
        if self.fusion is not None:
            assert text is not None and held is not None  # noqa: PT018 - uses_text holds when there is a fusion
            bottleneck = self.fusion(bottleneck, text.flatten(1, 2), held.flatten(1, 2))
        assert self.restore_head is not None
        return self.restore_head(self.backbone.decode(bottleneck, skips))

    def targets(self, batch: Batch) -> torch.Tensor:
        """(b, B) which crops of all processes answer each of our sentences."""
        return soft_targets(
            gather(batch.text_key),
            gather(batch.normal_key),
            n_own=len(batch.text_key),
            offset=rank() * len(batch.text_key),
            soft_positive=self.config.tcl.soft_positive,
        )

    def contrast(
        self, text: torch.Tensor, held: torch.Tensor, tokens_a: torch.Tensor, tokens_b: torch.Tensor, *, form: str
    ) -> torch.Tensor:
        """(b, B) logits: our anchors in view a against view b of all processes.

        Parameters
        ----------
        text, held : (b, s, d), (b, s)
            The drawn sentences.
        tokens_a, tokens_b : (b, n, d)
            Visual tokens of the two views.
        form : str
            ``conditioned``: <R(t_i, F_i^a), R(t_i, F_j^b)>; ``obvious``: <R(t_i, F_i^a), R(t_j, F_j^b)>.
        """
        assert self.readout is not None
        anchor = self.readout.paired(text, held, tokens_a)
        if form == "conditioned":
            others = self.readout(text, held, gather(tokens_b))  # (b, B, out): row i under text i
        else:
            others = gather(self.readout.paired(text, held, tokens_b))  # (B, out): each under its own text
        return contrast_logits(anchor, others, self.config.tcl.temperature)

    def _tcl(
        self,
        text: torch.Tensor | None,
        held: torch.Tensor | None,
        tokens_a: torch.Tensor,
        tokens_b: torch.Tensor,
        targets: torch.Tensor,
    ) -> torch.Tensor:
        form, temperature = self.config.tcl.form, self.config.tcl.temperature
        if form == "no_text":
            assert self.no_text_head is not None
            a, b = self.no_text_head(tokens_a.mean(dim=1)), self.no_text_head(tokens_b.mean(dim=1))
            own = torch.zeros_like(targets)
            index = torch.arange(len(a), device=a.device)
            own[index, index + rank() * len(a)] = 1.0  # without text, each place is its own class
            forth, back = contrast_logits(a, gather(b), temperature), contrast_logits(b, gather(a), temperature)
            return 0.5 * (contrast_loss(forth, own) + contrast_loss(back, own))
        assert text is not None and held is not None  # noqa: PT018 - uses_text holds when there is a readout
        first, first_held = text[:, 0], held[:, 0]
        forth = self.contrast(first, first_held, tokens_a, tokens_b, form=form)
        back = self.contrast(first, first_held, tokens_b, tokens_a, form=form)
        return 0.5 * (contrast_loss(forth, targets) + contrast_loss(back, targets))

    def _align(
        self, text: torch.Tensor, held: torch.Tensor, tokens: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        embedded = self.embed_text(text, held)
        return sigmoid_loss(
            embedded, gather(self.embed_image(tokens)), targets, log_scale=self.log_scale, bias=self.bias
        )

    def embed_text(self, text: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
        """(b, k, s, d) -> (b, align width): the drawn sentence, or the whole report."""
        return self.align_text(pool_text(text, held, whole_report=self.config.align.whole_report))

    def embed_image(self, tokens: torch.Tensor) -> torch.Tensor:
        """(b, n, d) -> (b, align width)."""
        return self.align_image(tokens.mean(dim=1))


def pool_text(text: torch.Tensor, held: torch.Tensor, *, whole_report: bool) -> torch.Tensor:
    """(b, k, s, d), (b, k, s) -> (b, d): mean over the tokens of the first sentence, or of all."""
    if not whole_report:
        text, held = text[:, :1], held[:, :1]
    weight = held.unsqueeze(-1).to(text.dtype)
    return (text * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(min=1)
