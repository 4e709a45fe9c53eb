"""The gradients of one step, whatever it was split into: micro-batches that fit into memory, processes.

Enters: a model, the micro-batches of this process. Leaves: gradients on the parameters, the loss terms. Refuses:
to let the number of negatives depend on either split.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import distributed

from train.batch import Batch
from train.distributed import world_size
from train.models import T3D, joined

Terms = dict[str, torch.Tensor]


def backward(model: T3D, parts: Sequence[Batch], autocast: AbstractContextManager[object]) -> Terms:
    """Leave the gradients of the step's loss on the parameters, averaged over processes; returns the terms, detached.

    Parameters
    ----------
    parts : sequence of Batch
        The micro-batches of this process, of equal size, with equally many token columns.
    autocast : context manager
        What forward passes run under.
    """
    if len(parts) > 1 and model.is_contrastive:
        terms = _through_cached_readings(model, parts, autocast)
    else:
        terms = {}
        for part in parts:
            with autocast:
                own = model(part)
            (model.total(own) / len(parts)).backward()
            _add(terms, own, len(parts))
    average_gradients(model.parameters())
    return terms


def _through_cached_readings(model: T3D, parts: Sequence[Batch], autocast: AbstractContextManager[object]) -> Terms:
    """All micro-batches compared as one batch, in the memory of one.

    Each is read without gradient; the contrastive terms are taken of all readings together; the gradients they leave
    on the readings are carried through each micro-batch when it is read again, with gradient.

    References
    ----------
    Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, arXiv 2101.06983.
    """
    with torch.no_grad(), autocast:
        reading = joined([model.read(part) for part in parts])
    leaves = [tensor.requires_grad_() for tensor in (reading.text, reading.view_a, reading.view_b)]
    with autocast:
        contrastive = model.contrastive(reading)
    model.total(contrastive).backward()
    slopes = [(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad).chunk(len(parts)) for leaf in leaves]
    terms: Terms = {}
    _add(terms, contrastive, 1)
    for part, *slope in zip(parts, *slopes, strict=True):
        with autocast:
            again = model.read(part)
            own = model.restoration(part, again)
        read = (again.text, again.view_a, again.view_b)
        loss = torch.stack([(tokens * along).sum() for tokens, along in zip(read, slope, strict=True)]).sum()
        if own:
            loss = loss + model.total(own) / len(parts)
            _add(terms, own, len(parts))
        loss.backward()
    return terms


def _add(terms: Terms, more: Terms, n_parts: int) -> None:
    for name, term in more.items():
        terms[name] = terms.get(name, torch.zeros_like(term.detach().float())) + term.detach().float() / n_parts


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Make every process's gradients the mean over all of them, in one message.

    A parameter that the loss does not reach keeps no gradient; which ones is the same everywhere.
    """
    gradients = [one.grad for one in parameters if one.grad is not None]
    if world_size() == 1 or not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= world_size()
    for gradient, mean in zip(gradients, flat.split([one.numel() for one in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
