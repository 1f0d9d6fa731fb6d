"""Where networks run."""

import torch

from solos.errors import UserError


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
