import json
from pathlib import Path

import numpy as np
import torch

from solos import SEGMENT
from solos.signal.fourier import istft, stft
from solos.signal.warp import log_unwarp, log_warp

GOLDEN = json.loads((Path(__file__).parent / "golden" / "sop_forward.json").read_text())


def ramp(*shape: int) -> torch.Tensor:
    return torch.arange(np.prod(shape), dtype=torch.float64).reshape(shape)


def test_round_trip_of_a_segment():
    wave = torch.rand(2, 3, SEGMENT, dtype=torch.float64) * 2 - 1
    spec = stft(wave)
    assert spec.shape == (2, 3, 512, 256)
    assert torch.allclose(istft(spec, SEGMENT), wave, atol=1e-9)


def test_a_constant_has_the_window_sum_of_511():
    assert stft(torch.ones(SEGMENT)).abs().max() == 511


def test_a_sine_falls_into_its_bin():
    n = torch.arange(SEGMENT)
    spec = stft(torch.sin(2 * torch.pi * 100 / 1022 * n)).abs()
    assert (spec[:, 10:-10].argmax(dim=0) == 100).all()
    assert torch.allclose(spec[100, 10:-10], torch.tensor(255.5), rtol=1e-3)


def test_warp_agrees_with_the_reference():
    warped = log_warp((1 + torch.sin(0.003 * ramp(1, 512, 256))).float())
    assert warped.shape == (1, 256, 256)
    expected = torch.tensor(GOLDEN["warp_samples"])
    assert torch.allclose(warped[0, ::16, ::64].flatten(), expected, rtol=1e-3, atol=1e-4)


def test_unwarp_agrees_with_the_reference():
    mask = torch.sigmoid(torch.sin(0.01 * ramp(1, 256, 256))).float()
    expected = torch.tensor(GOLDEN["unwarp_samples"])
    found = log_unwarp(mask)[0, ::32, ::64].flatten()
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_warp_keeps_both_ends_and_constants():
    mag = torch.rand(512, 5)
    warped = log_warp(mag)
    assert torch.allclose(warped[[0, -1]], mag[[0, -1]], atol=1e-4)
    assert torch.allclose(log_unwarp(torch.full((256, 3), 0.7)), torch.full((512, 3), 0.7))
