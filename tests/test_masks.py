import math

import pytest
import torch

from solos import SEGMENT
from solos.models.inputs import log_input, scaled_log_input
from solos.signal.fourier import istft, stft
from solos.signal.masks import apply_masks, binary_masks, half_masks, ratio_masks
from solos.signal.warp import log_unwarp

MAGS = torch.tensor([[3.0, 1.0, 0.0, 2.0], [1.0, 4.0, 0.0, 2.0]]).reshape(2, 2, 2)


def test_binary_masks_choose_the_dominant_source():
    first, second = binary_masks(MAGS)
    assert first.tolist() == [[1, 0], [1, 1]]  # ties and silence go to the first source
    assert second.tolist() == [[0, 1], [0, 0]]


def test_ratio_masks_are_shares():
    first, second = ratio_masks(MAGS)
    assert torch.allclose(first, torch.tensor([[0.75, 0.2], [0.5, 0.5]]))
    assert torch.allclose(first + second, torch.ones(2, 2))


def test_batched_masks_sum_to_one():
    mags = torch.rand(2, 5, 7, 3)
    assert torch.allclose(ratio_masks(mags).sum(1), torch.ones(2, 7, 3))
    assert torch.equal(binary_masks(mags).sum(1), torch.ones(2, 7, 3))


def test_log_input_is_the_natural_logarithm():
    assert torch.allclose(log_input(torch.tensor([torch.e, 0.0])), torch.tensor([1.0, -23.02585]))


def test_scaled_log_input_by_hand():
    """Logarithms of 1 + 6.5536, 1 + 661.9136 and 1 + 65542.5536."""
    mag = torch.tensor([[0.0, 0.01], [1.0, 0.0]])
    low, middle, high = (math.log1p(65536 * (m + 1e-4)) for m in (0, 0.01, 1))
    assert (low, middle, high) == pytest.approx((2.02202, 6.49664, 11.09047), abs=1e-5)
    between = 2 * (middle - low) / (high - low) - 1
    expected = torch.tensor([[-1.0, between], [1.0, -1.0]])
    assert torch.allclose(scaled_log_input(mag), expected, atol=1e-5)
    assert torch.equal(scaled_log_input(torch.zeros(2, 2)), -torch.ones(2, 2))


def test_half_masks_are_not_complementary():
    """Above half the mixture: both where phases cancel, neither where three share."""
    mags, mix = (
        torch.tensor([[[3.0, 1.0, 1.0]], [[2.5, 1.0, 3.0]]]),
        torch.tensor([[[4.0, 2.0, 3]]]),
    )
    assert half_masks(mags, mix).tolist() == [[[1, 0, 0]], [[1, 0, 1]]]
    assert binary_masks(mags).tolist() == [[[1, 1, 0]], [[0, 0, 1]]]


def test_masks_of_ones_give_the_mixture_back():
    wave = torch.rand(1000 * 10) - 0.5
    estimate = apply_masks(stft(wave), torch.ones(2, 256, 40), wave.numel())
    assert torch.allclose(estimate, wave.expand(2, -1), atol=1e-5)


def test_estimates_are_clipped():
    wave = torch.rand(1000 * 10) - 0.5
    assert apply_masks(stft(wave), torch.full((1, 256, 40), 9.0), wave.numel()).abs().max() == 1


def test_masks_are_decided_at_a_half_when_unwarped():
    mix = torch.rand(SEGMENT) - 0.5
    masks = torch.full((2, 256, 256), 0.7)
    masks[1] = 0.3
    kept, dropped = apply_masks(stft(mix), masks, SEGMENT, decide=True)
    assert torch.allclose(kept, mix, atol=1e-5) and not dropped.any()
    ramp = torch.linspace(0, 1, 256)[:, None].expand(1, 256, 256)  # crosses a half between two bins
    estimate = apply_masks(stft(mix), ramp, SEGMENT, decide=True)
    linear = (log_unwarp(ramp) > 0.5).float()
    assert set(linear.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(estimate, istft(stft(mix) * linear, SEGMENT).clamp(-1, 1))
