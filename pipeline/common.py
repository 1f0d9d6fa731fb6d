"""What all stages share: parameters, progress bars, errors as one message."""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from tqdm import tqdm

from solos.config.data import HOW_TO_GET_NOTES, HOW_TO_GET_URMP
from solos.config.params import Params, load_params
from solos.errors import UserError
from solos.storage.cache import locked


def _workspace() -> Path:
    """The project's folder; for an experiment in a temporary copy of it, that which it was of."""
    for folder in Path.cwd().parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2]
    return Path()


def _work() -> Path:
    """``.work`` of the workspace, which experiments in temporary copies share."""
    return _workspace() / ".work"


WORK = _work()
"""What must survive an interruption: ignored by git, no output of any stage."""

RENDERED = "data/synthetic/urmp"
"""The miniature's test set, which a stage writes."""

Item = TypeVar("Item")


def run_stage(main: Callable[..., None], *choices: Sequence[str]) -> None:
    """Call ``main(params, *arguments)``; a user's mistake ends in one message and exit code 1.

    Args:
        choices: for each command-line argument, the values allowed; an empty sequence allows any.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = sys.argv[1:]
    try:
        _check_arguments(arguments, choices)
        params = load_params(Path("params.yaml"))
        _check_places(params)
        with _alone(Path(sys.argv[0]).stem, *arguments):
            main(params, *arguments)
    except (BrokenProcessPool, MemoryError) as error:
        sys.exit(
            f"error: a worker was killed, or out of memory ({type(error).__name__}): run the same "
            "command again to go on, with fewer parallel.jobs if memory was short"
        )
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno is None:
            raise
        sys.exit(f"error: {error}. Put that right and run the same command again to go on")
    except KeyboardInterrupt:
        sys.exit("interrupted: run the same command again to go on")


@contextmanager
def _alone(*name: str) -> Iterator[None]:
    """A second process at the same stage of this folder waits: their outputs are the same files.

    (DVC may have been killed and the command given again while the stage was still at work.)
    """
    if os.environ.get("RANK", "0") != "0":  # torchrun's other processes belong to the first one
        yield
        return
    with locked(Path(".work") / "stages" / f"{'@'.join(name)}.lock"):
        yield


def _check_places(params: Params) -> None:
    """Name what the user has to provide and is not there, before hours of work, not after."""
    if params.synthesize.urmp is None or params.urmp.path != RENDERED:
        _require("urmp.path", params.urmp.path, f"is not there. {HOW_TO_GET_URMP}")
    if params.notes.path:
        _require("notes.path", params.notes.path, f"is not there. {HOW_TO_GET_NOTES}")
    for name, row in params.model.items():
        if row.path:
            _require(f"model.{name}.path", row.path, "is no file: name a checkpoint", Path.is_file)
    if params.pretrained.source == "files":
        path, problem = params.pretrained.path, "is no folder with three files"
        _require("pretrained.path", path, problem, Path.is_dir)
    recipes = (params.train.sop, params.train.music)
    if any(recipe and recipe.trunk_weights == "imagenet" for recipe in recipes):
        _require_trunk()


def _require_trunk() -> None:
    """ImageNet weights that were put in place are seen by this experiment, or torch has them.

    (Where nobody put any, they are fetched.)
    """
    here = Path("data/weights/scratch")
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("TORCH_HOME") or Path(caches, "torch")) / "hub" / "checkpoints"
    for file in (_workspace().absolute() / here).glob("*.pth"):
        if not (here / file.name).exists() and not (cache / file.name).exists():
            raise UserError(
                f"{here / file.name} is not in git, and queued and temporary experiments see "
                f"nothing else: put it where torch looks too, mkdir -p '{cache}' && cp '{file}' "
                f"'{cache}'"
            )


def _require(
    name: str, path: str, problem: str, fits: Callable[[Path], bool] = Path.exists
) -> None:
    """Raise ``problem`` unless there is something at ``path`` that the parameter ``name`` gives."""
    if fits(Path(path)) and not _is_bare(Path(path)):
        return
    if path.startswith("~"):
        raise UserError(f"{name}: {path}: ~ is the shell's, write -S \"{name}='$HOME{path[1:]}'\"")
    theirs = _workspace().absolute() / path
    if theirs != Path(path).absolute() and fits(theirs) and not _is_bare(theirs):
        raise UserError(
            f"{name}: {path} is not in git, and queued and temporary experiments see nothing else: "
            f"name it in full, -S \"{name}='{theirs}'\""
        )
    raise UserError(f"{name}: {path} {problem}")


def _is_bare(path: Path) -> bool:
    """Whether a folder has nothing but a README: a place for data that nobody has put there."""
    return path.is_dir() and {entry.name for entry in path.iterdir()} <= {"README.md", ".DS_Store"}


def _check_arguments(arguments: Sequence[str], choices: Sequence[Sequence[str]]) -> None:
    if len(arguments) != len(choices):
        raise UserError(f"{len(choices)} argument(s) expected, {len(arguments)} given")
    for given, allowed in zip(arguments, choices, strict=True):
        if allowed and given not in allowed:
            raise UserError(f"{given!r} is none of {', '.join(allowed)}")


def progress(iterable: Iterable[Item], description: str, total: int | None = None) -> tqdm:
    """A progress bar that redraws seldom where standard error is a file (DVC's queue, CI)."""
    return tqdm(iterable, desc=description, total=total, mininterval=_interval())


def reading(stream: BinaryIO, description: str, total: int) -> BinaryIO:
    """``stream`` with a progress bar of the bytes read from it (a context manager)."""
    return tqdm.wrapattr(stream, "read", total, desc=description, mininterval=_interval())


def _interval() -> float:
    return 0.1 if sys.stderr.isatty() else float(os.environ.get("TQDM_MININTERVAL", "10"))
