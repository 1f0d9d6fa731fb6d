"""Where networks run."""

import ctypes
import sys

import torch
from torch import nn

from solos.errors import UserError

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


def find_device(name: str, tf32: bool = False) -> torch.device:
    """``cpu``, ``cuda``, or ``auto``: CUDA where there is one.

    A GPU then computes repeatably as far as it can, and in float32 proper unless ``tf32``: by
    default torch lets convolutions round to 10 bits there.

    Raises:
        UserError: CUDA is asked for and torch finds none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda, but torch finds no CUDA device here: use auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    return device


def lay_out(network: nn.Module, device: torch.device, channels_last: bool) -> None:
    """Move a network to a device, its convolutions' weights channels-last if asked for.

    On a CPU, a network's ``PLAIN_ON_CPU`` names parts that are better off without: where weights
    are large and pictures small, each step copies the gradients from one layout to the other.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network.to(device, memory_format=layout)
    if device.type == "cpu":
        for part in getattr(network, "PLAIN_ON_CPU", ()):
            network.get_submodule(part).to(memory_format=torch.contiguous_format)


def keep_memory() -> None:
    """Have this process keep the memory that it frees, where its C library is glibc.

    Large tensors are else given back to the system and asked for anew in each step, which costs a
    quarter of the Multi-Head U-Net's steps (``benchmarks/train.py``).
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
