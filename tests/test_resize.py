import torch
from torch.nn import functional

from solos.signal.resize import by_products, double


def test_both_ways_are_torchs_bilinear_interpolation():
    x = torch.randn(2, 3, 4, 7, requires_grad=True)
    wanted = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    weight = torch.randn_like(wanted)
    (gradient,) = torch.autograd.grad((wanted * weight).sum(), x)
    with torch.inference_mode():
        by_products(x)  # as a validation before the first epoch does
    for way in (double, by_products):
        found = way(x)
        assert found.shape == (2, 3, 8, 14)
        assert torch.allclose(found, wanted, atol=1e-6)
        (own,) = torch.autograd.grad((found * weight).sum(), x)
        assert torch.allclose(own, gradient, atol=1e-5)
