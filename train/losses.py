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

    A sentence's own column weighs 1. Columns that cover an equal sentence, or a normal statement on the same region,
    weigh `soft_positive`: they are no negatives, since what the sentence says holds for them too.

    Parameters
    ----------
    text_key, normal_key : (B, k) int64
        Of the sentences each crop covers, the drawn one first, 0 for none. Equal keys mean equal wording, and the
        same normal statement.

    Returns
    -------
    (n_own, B) float32, rows sum to 1
    """
    rows = slice(offset, offset + n_own)
    equal = is_covered(text_key[rows, 0], text_key) | is_covered(normal_key[rows, 0], normal_key)
    weight = equal.float() * soft_positive
    own = torch.arange(n_own, device=weight.device)
    weight[own, own + offset] = 1.0
    return weight / weight.sum(dim=1, keepdim=True)


def is_covered(own: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Whether each of our sentences is among those of each crop, by key: (r,), (B, k) -> (r, B) bool; 0 is never."""
    return (keys[None] == own[:, None, None]).any(dim=2) & (own != 0)[:, None]


def cosines(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Cosine similarity of each row with each column, (b, B).

    Parameters
    ----------
    rows : (b, d)
    columns : (B, d) or (b, B, d)
        The same for all rows, or vectors that were read under the row's own text.
    """
    rows, columns = F.normalize(_full(rows), dim=-1), F.normalize(_full(columns), dim=-1)
    return torch.einsum("bd,nd->bn" if columns.dim() == 2 else "bd,bnd->bn", rows, columns)


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
    error = (_full(restored) - _full(clean)).abs() * hidden
    return error.flatten(1).sum(dim=1) / hidden.flatten(1).sum(dim=1).clamp(min=1)


def sigmoid_loss(logits: torch.Tensor, is_positive: torch.Tensor) -> torch.Tensor:
    """Pairwise sigmoid loss of r sentences with B crops, summed over crops.

    Parameters
    ----------
    logits : (r, B)
    is_positive : (r, B) bool

    Returns
    -------
    (r,)

    References
    ----------
    Zhai et al., Sigmoid Loss for Language Image Pre-Training, arXiv 2303.15343, algorithm 1.
    """
    return -F.logsigmoid(torch.where(is_positive, logits, -logits)).sum(dim=1)


def _full(values: torch.Tensor) -> torch.Tensor:
    """Half precision as float32; losses are never taken in less."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
