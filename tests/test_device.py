import ctypes
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from solos.errors import UserError
from solos.models.device import find_device, lay_out
from solos.models.weights import build_network

FREED = """
import sys, torch
from solos.models.device import keep_memory
if sys.argv[1] == "keep":
    keep_memory()
torch.ones(25_000_000)  # 100 MB, freed at once
print([int(n) * 4096 for n in open("/proc/self/statm").read().split()][1])
"""


def test_auto_takes_what_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert find_device("auto").type == "cuda"


def test_a_missing_device_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="no CUDA device"):
        find_device("cuda")


def layouts(network: nn.Module) -> set[bool]:
    """Whether convolutions' weights are channels-last (those of one place are either)."""
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d)]
    large = [w for w in weights if w.shape[1] > 1 and w.shape[2] > 1]
    return {w.is_contiguous(memory_format=torch.channels_last) for w in large}


def test_a_cpu_keeps_the_video_network_plain(params):
    network = build_network(params.train.sop)
    lay_out(network, torch.device("cpu"), channels_last=True)
    assert layouts(network.sound) == {True} and layouts(network.frame) == {False}
    lay_out(network, torch.device("cpu"), channels_last=False)
    assert layouts(network) == {False}
    lay_out(network, torch.device("meta"), channels_last=True)
    assert layouts(network) == {True}


@pytest.mark.skipif(
    not (Path("/proc/self/statm").exists() and hasattr(ctypes.CDLL(None), "mallopt")),
    reason="needs /proc, which tells a process's memory, and glibc",
)
def test_memory_that_is_freed_is_kept():
    kept, given_back = (
        int(subprocess.check_output([sys.executable, "-c", FREED, how])) for how in ("keep", "not")
    )
    assert kept - given_back > 80e6
