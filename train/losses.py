"""The losses, each a few lines that a plain loop checks in value and gradient (tests/train).

Enters: vectors, targets, crops. Leaves: scalars. Refuses: nothing. b: this process's studies; B: those of all
processes, whose rows `offset .. offset + b` are ours; d: width.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F


def soft_targets(
    text_key: torch.Tensor, normal_key: torch.Tensor, *, n_own: int, offset: int, soft_positive: float
) -> torch.Tensor:
    """Which column each of our rows should choose, as probabilities.

    A sentence's own column weighs 1. Columns whose sentence is equal, or a normal statement on the same region,
    weigh `soft_positive`: they are no negatives, since nothing in the image could tell them apart.

    Parameters
    ----------
    text_key, normal_key : (B,) int64
        Equal keys mean equal wording, and the same normal statement; normal_key 0 means neither.

    Returns
    -------
    (n_own, B) float32, rows sum to 1
    """
    rows = slice(offset, offset + n_own)
    same = text_key[rows, None] == text_key[None, :]
    normal = (normal_key[rows, None] == normal_key[None, :]) & (normal_key[rows, None] != 0)
    weight = (same | normal).float() * soft_positive
    own = torch.arange(n_own, device=weight.device)
    weight[own, own + offset] = 1.0
    return weight / weight.sum(dim=1, keepdim=True)


def contrast_logits(anchor: torch.Tensor, others: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cosine similarities over the temperature.

    Parameters
    ----------
    anchor : (b, d)
        One vector per row.
    others : (b, B, d) or (B, d)
        What each row is compared with: the same B vectors for all (the obvious form), or vectors that were read
        under the row's own text (ours).

    Returns
    -------
    (b, B)
    """
    anchor, others = F.normalize(anchor.float(), dim=-1), F.normalize(others.float(), dim=-1)
    if others.dim() == 2:
        return anchor @ others.T / temperature
    return torch.einsum("bd,bnd->bn", anchor, others) / temperature


def contrast_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross entropy of `logits` (b, B) with soft `targets`; log B when all similarities are equal."""
    return -(targets * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def restoration_loss(restored: torch.Tensor, clean: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """L1 over the hidden voxels of each crop, then the mean over crops.

    Parameters
    ----------
    restored, clean : (b, 1, c, c, c)
        Normalised HU.
    hidden : (b, 1, c, c, c) bool

    Returns
    -------
    scalar
    """
    return restoration_errors(restored, clean, hidden).mean()


def restoration_errors(restored: torch.Tensor, clean: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """(b,) mean absolute error over the hidden voxels of each crop."""
    error = (restored.float() - clean.float()).abs() * hidden
    return error.flatten(1).sum(dim=1) / hidden.flatten(1).sum(dim=1).clamp(min=1)


def sigmoid_loss(
    text: torch.Tensor,
    image: torch.Tensor,
    targets: torch.Tensor,
    *,
    log_scale: torch.Tensor,
    bias: torch.Tensor,
) -> torch.Tensor:
    """Pairwise sigmoid loss between our sentences and all crops.

    Parameters
    ----------
    text : (b, d), image : (B, d)
        Compared by cosine.
    targets : (b, B)
        Positive where above zero: own, equal and likewise normal sentences.

    References
    ----------
    Zhai et al., Sigmoid Loss for Language Image Pre-Training, arXiv 2303.15343, algorithm 1.
    """
    similarity = F.normalize(text.float(), dim=-1) @ F.normalize(image.float(), dim=-1).T
    logits = similarity * log_scale.exp() + bias
    labels = torch.where(targets > 0, 1.0, -1.0)
    return -F.logsigmoid(labels * logits).sum(dim=1).mean()
