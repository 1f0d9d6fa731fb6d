"""What ``train`` and ``pretrained`` share: a resumable training run with its log and its export."""

import logging
from pathlib import Path

from dvclive import Live
from torch import nn

from pipeline.common import WORK, progress
from solos.checkpoint import save_network
from solos.files import file_hash, fingerprint
from solos.tasks import Task
from solos.training import train

log = logging.getLogger(__name__)


def fit(task: Task, network: nn.Module, epochs: int, start: Path, output: Path, logs: Path) -> None:
    """Train ``network`` on ``task``, log to ``logs`` for ``dvc plots`` and export to ``output``.

    Args:
        start: folder of the start weights; part of what identifies the run.
    """
    key = fingerprint(_identity(task, epochs, start))
    checkpoint = WORK / "train" / output.name / key / "last.pth"
    with Live(str(logs), dvcyaml=None, save_dvc_exp=False, report=None) as live:
        best = train(task, network, epochs, checkpoint, lambda r: _log(live, r), progress)
    recipe = task.recipe.model_dump()
    kind = {"SopRecipe": "sop", "MhuRecipe": "mhunet"}[type(task.recipe).__name__]
    save_network(output, network.cpu(), {"network": kind, **best, "recipe": recipe})
    log.info("%s: best epoch %d, validation loss %.5f", output, best["epoch"], best["val_loss"])


def _log(live: Live, record: dict) -> None:
    live.step = record["epoch"]
    for name in ("train_loss", "val_loss", "lr", "max_src"):
        if name in record:
            live.log_metric(name, record[name])
    live.make_summary()
    log.info(", ".join(f"{key} {value:.5g}" for key, value in record.items()))


def _identity(task: Task, epochs: int, start: Path) -> dict:
    """Everything that the outcome depends on, code included: what differs never resumes."""
    data = [task.train.spectrograms / "recordings.csv"]
    data += sorted(task.train.spectrograms.glob("*.peak.npy"))
    data += sorted(start.glob("*.pth"))
    pictures = sorted(task.train.extracted.glob("*.zip"))
    code = sorted(Path("solos").rglob("*.py"))
    return {
        "recipe": task.recipe.model_dump(),
        "epochs": epochs,
        "seed": task.seed,
        "hashes": [(path.name, file_hash(path)) for path in [*data, *code]],
        "pictures": [(path.name, path.stat().st_size) for path in pictures],
    }
