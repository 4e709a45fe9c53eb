"""Each loss equals a plain loop in value and gradient."""

from __future__ import annotations

import math

import pytest
import torch

from train.losses import (
    contrast_loss,
    cosines,
    restoration_loss,
    sigmoid_loss,
    soft_targets,
)
from train.models import tcl_logits
from train.readout import Readout


def _same(fast: torch.Tensor, slow: torch.Tensor, inputs: list[torch.Tensor]) -> None:
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-6)
    for one, two in zip(torch.autograd.grad(fast, inputs), torch.autograd.grad(slow, inputs), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", ["conditioned", "obvious"])
def test_contrast_equals_a_plain_loop(form: str) -> None:
    torch.manual_seed(0)
    b, s, n, d, tau = 4, 5, 6, 16, 0.07
    readout = Readout(d, 8)
    text = torch.randn(b, s, d, requires_grad=True)
    held = torch.arange(s)[None] < torch.tensor([5, 3, 1, 4])[:, None]
    a, other = torch.randn(b, n, d, requires_grad=True), torch.randn(b, n, d, requires_grad=True)
    keys, normal = torch.tensor([[1], [2], [1], [3]]), torch.tensor([[0], [9], [0], [9]])
    targets = soft_targets(keys, normal, n_own=b, offset=0, soft_positive=0.5)
    fast = contrast_loss(tcl_logits(readout, text, held, a, other, form) / tau, targets)

    def read(i: int, tokens: torch.Tensor) -> torch.Tensor:
        # One sentence without its padding against one crop: nothing to broadcast or mask.
        words = text[i : i + 1, : int(held[i].sum())]
        return readout.paired(words, torch.ones(1, words.shape[1], dtype=torch.bool), tokens[None])[0]

    slow = torch.zeros(())
    for i in range(b):
        similar = []
        for j in range(b):
            x, y = read(i, a[i]), read(i if form == "conditioned" else j, other[j])
            similar.append((x @ y) / (x.norm() * y.norm()) / tau)
        log_norm = torch.logsumexp(torch.stack(similar), dim=0)
        for j in range(b):
            slow = slow - targets[i, j] * (similar[j] - log_norm) / b
    _same(fast, slow, [text, a, other, *readout.parameters()][:3])


def test_contrast_is_log_b_when_all_similarities_are_equal() -> None:
    for b in (2, 5, 8):
        keys = torch.arange(1, b + 1)[:, None] // 2
        targets = soft_targets(keys, torch.zeros_like(keys), n_own=b, offset=0, soft_positive=0.5)
        logits = cosines(torch.ones(b, 4), torch.ones(b, b, 4)) / 0.07
        assert contrast_loss(logits, targets).item() == pytest.approx(math.log(b), abs=1e-5)


def test_soft_targets_spare_equal_and_likewise_normal_sentences() -> None:
    text, normal = torch.tensor([[10], [11], [10], [12]]), torch.tensor([[0], [7], [0], [7]])
    weights = soft_targets(text, normal, n_own=4, offset=0, soft_positive=0.5)
    expected = torch.tensor([[2, 0, 1, 0], [0, 2, 0, 1], [1, 0, 2, 0], [0, 1, 0, 2]]) / 3.0
    torch.testing.assert_close(weights, expected)
    second_half = soft_targets(text, normal, n_own=2, offset=2, soft_positive=0.5)
    torch.testing.assert_close(second_half, expected[2:])


def test_a_crop_that_covers_an_equal_sentence_beside_its_own_is_no_negative() -> None:
    text, normal = torch.tensor([[1, 0], [2, 1], [3, 0]]), torch.tensor([[0, 0], [0, 0], [0, 0]])
    weights = soft_targets(text, normal, n_own=3, offset=0, soft_positive=0.5)
    torch.testing.assert_close(weights, torch.tensor([[2, 1, 0], [0, 3, 0], [0, 0, 3]]) / 3.0)


def test_two_findings_without_a_normal_key_are_negatives() -> None:
    zero = torch.zeros(2, 1).long()
    torch.testing.assert_close(
        soft_targets(zero + torch.tensor([[1], [2]]), zero, n_own=2, offset=0, soft_positive=0.5), torch.eye(2)
    )


def test_restoration_equals_a_plain_loop_and_ignores_visible_voxels() -> None:
    torch.manual_seed(1)
    restored = torch.randn(3, 1, 4, 4, 4, requires_grad=True)
    clean, hidden = torch.randn(3, 1, 4, 4, 4), torch.rand(3, 1, 4, 4, 4) < 0.4
    slow = torch.zeros(())
    for b in range(3):
        errors = [(restored[b][at] - clean[b][at]).abs() for at in map(tuple, hidden[b].nonzero().tolist())]
        slow = slow + torch.stack(errors).mean() / 3
    _same(restoration_loss(restored, clean, hidden), slow, [restored])
    moved = restored.detach() + 5.0 * ~hidden
    torch.testing.assert_close(restoration_loss(moved, clean, hidden), restoration_loss(restored, clean, hidden))


def test_sigmoid_loss_equals_a_plain_loop() -> None:
    torch.manual_seed(2)
    logits = torch.randn(3, 5, requires_grad=True)
    targets = torch.zeros(3, 5, dtype=torch.bool)
    targets[0, 0] = targets[1, 1] = targets[2, 2] = targets[2, 4] = True
    slow = torch.zeros(())
    for i in range(3):
        for j in range(5):
            sign = 1.0 if targets[i, j] else -1.0
            slow = slow + torch.log1p(torch.exp(-sign * logits[i, j])) / 3
    _same(sigmoid_loss(logits, targets).mean(), slow, [logits])


def test_the_text_alone_solves_the_obvious_form_but_not_ours() -> None:
    """With the same noise for every crop, equal logits along a row are all that our form can give."""
    torch.manual_seed(3)
    readout = Readout(16, 8)
    text, held = torch.randn(6, 4, 16), torch.ones(6, 4, dtype=torch.bool)
    crop = torch.randn(1, 5, 16).expand(6, -1, -1)
    ours = tcl_logits(readout, text, held, crop, crop, "conditioned")
    obvious = tcl_logits(readout, text, held, crop, crop, "obvious")
    torch.testing.assert_close(ours, ours[:, :1].expand_as(ours))
    assert (obvious.argmax(dim=1) == torch.arange(6)).all()


def test_a_readout_without_the_text_gives_the_image_alone() -> None:
    """What alignment compares with the sentence must not hold the sentence: equal crops, equal vectors."""
    torch.manual_seed(4)
    readout = Readout(16, 8, keeps_text=False)
    text, held = torch.randn(3, 1, 16), torch.ones(3, 1, dtype=torch.bool)
    place = torch.randn(1, 1, 16).expand(2, 5, -1)  # the same at every place, so where one looks does not matter
    torch.testing.assert_close(readout(text, held, place)[0], readout(text, held, place)[2])
