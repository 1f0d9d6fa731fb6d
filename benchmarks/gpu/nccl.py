"""Training through a process group of one: NCCL on a GPU, started by torchrun.

``python -m benchmarks.gpu.nccl SETTING OUTPUT``, under torchrun, is that process.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, distributed, nn

from benchmarks.gpu.recordings import NETWORKS, paper_recipe, task_of
from benchmarks.gpu.rows import ROOT, Figures, Row, Setting, append, attempt, read, require
from solos.models.weights import build_network
from solos.training.distributed import ALONE, Processes
from solos.training.loop import train
from solos.training.state import Checkpoint

TOLERANCE = 1e-3
"""Of a loss, after steps with dropout off and batch norm computed another way."""


@dataclass(frozen=True)
class One(Processes):
    """A single process whose sums, gradients and statistics go through the group all the same."""

    def sum(self, values: Tensor) -> Tensor:
        """As of several."""
        return Processes(0, 2).sum(values)

    def parallel(self, network: nn.Module) -> nn.Module:
        """As of several."""
        return Processes(0, 2).parallel(network)

    def agree(self, value: object) -> bool:
        """As of several."""
        values = [None]
        distributed.all_gather_object(values, value)
        return values == [value]


def nccl(setting: Setting) -> Iterator[Row]:
    """The losses of an epoch of both networks beside those without a group."""
    output = setting.folder / "torchrun.lines"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
    program = ["-m", "benchmarks.gpu.nccl", setting.dump(), str(output)]
    command = [sys.executable, *torchrun, *program]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    yield from read(output)
    if process.returncode:
        lines = process.stderr.splitlines()  # torchrun frames the program's own, which says why
        own = [line for line in lines if "Error" in line and "torch.distributed" not in line]
        yield Row("nccl", "torchrun", {}, " ".join((own or lines)[:1])[:300])


def joined(setting: Setting, output: Path) -> None:
    """What the process does."""
    from pipeline.fit import join  # noqa: PLC0415  (with dvclive, which nothing else here needs)

    processes = join(setting.device)
    if (processes.rank, processes.count) != (0, 1):
        raise RuntimeError(f"{processes}, one process expected")
    for name, title in NETWORKS.items():
        case = f"{title}, backend {distributed.get_backend()}"
        append(output, attempt("nccl", case, lambda n=name: compare(n, setting)))
    distributed.destroy_process_group()


def compare(name: str, setting: Setting) -> Figures:
    """An epoch of three steps, twice."""
    mixes = {"mixes_per_recording": 1} if name == "sop" else {"train_mixes": 12, "dropout": 0.0}
    recipe = paper_recipe(name, setting, batch_size=4, val_mixes=4, workers=0, **mixes)
    curves = []
    for number, processes in enumerate((ALONE, One())):
        torch.manual_seed(1)
        records: list[dict] = []
        checkpoint = Checkpoint(setting.folder / f"nccl-{name}-{number}.pth", every=1e6)
        network = build_network(recipe)
        task = task_of(recipe, setting)
        train(task, network, 1, checkpoint, records.append, lambda b, _: b, processes)
        curves.append([records[0]["val_loss"], records[1]["train_loss"], records[1]["val_loss"]])
    alone, together = map(torch.tensor, curves)
    figures = {"validation loss": curves[1][-1]}
    figures["losses off by"] = ((alone - together).abs() / alone.abs()).max().item()
    return require(figures["losses off by"] < TOLERANCE, f"more than {TOLERANCE} of it", figures)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    joined(Setting.load(sys.argv[1]), Path(sys.argv[2]))
