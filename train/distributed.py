"""One process or many under torchrun: who we are, and what the others hold.

Enters: torchrun's environment. Leaves: rank, world size, gathered tensors with gradient. Refuses: to start a
process group unless torchrun asked for one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist


def rank() -> int:
    """This process's number, 0 where there is one."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@contextmanager
def process_group() -> Iterator[torch.device]:
    """The device of this process; under torchrun, joins the group for as long as the block runs."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda", local) if has_gpu else torch.device("cpu")
    if has_gpu:
        torch.cuda.set_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    dist.init_process_group("nccl" if has_gpu else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def gather(values: torch.Tensor) -> torch.Tensor:
    """The rows of all processes, in order of rank, with gradient to each.

    Every process computes the loss of its own rows, and gradients are averaged; the sum over processes that flows
    back through here, divided by their number there, is the gradient of the mean over all rows.
    """
    if world_size() == 1:
        return values
    if not values.requires_grad:
        held = [torch.empty_like(values) for _ in range(world_size())]
        dist.all_gather(held, values.contiguous())
        return torch.cat(held)
    from torch.distributed.nn.functional import all_gather

    return torch.cat(list(all_gather(values.contiguous())))


def any_process(flag: bool) -> bool:
    """Whether `flag` is set in any process, so that all of them stop together."""
    if world_size() == 1:
        return flag
    value = torch.tensor([int(flag)], device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return bool(value.item())


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if world_size() > 1:
        dist.barrier()
