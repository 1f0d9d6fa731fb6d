"""Lines of the table, and what a check is given."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Figures = dict[str, float | str]


@dataclass(frozen=True)
class Setting:
    """What a check is given.

    Args:
        device: ``cuda``, or ``cpu`` to try the checks themselves.
        quick: networks of a few channels and moments of time, likewise.
        folder: for its files; holds the training set (:func:`benchmarks.gpu.recordings.make`).
    """

    device: str
    quick: bool
    folder: Path

    def dump(self) -> str:
        return json.dumps(asdict(self), default=str)

    @staticmethod
    def load(text: str) -> "Setting":
        found = json.loads(text)
        return Setting(found["device"], found["quick"], Path(found["folder"]))


@dataclass(frozen=True)
class Row:
    """A line of the table: figures by name and unit, and the reason if it failed."""

    check: str
    case: str
    figures: Figures = field(default_factory=dict)
    failure: str = ""

    def cells(self) -> list[str]:
        said = [f"{name} {_text(value)}" for name, value in self.figures.items()]
        result = f"FAILED: {self.failure}" if self.failure else "ok"
        return [self.check, self.case, result, ", ".join(said)]


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


class FailedError(Exception):
    """A check's result is wrong; the figures go into its line all the same."""

    def __init__(self, reason: str, figures: Figures):
        super().__init__(reason)
        self.figures = figures


def attempt(check: str, case: str, function: Callable[[], Figures]) -> Row:
    """The line of a case: whatever goes wrong in it is its reason, and the next case still runs."""
    try:
        return Row(check, case, function())
    except FailedError as failed:
        return Row(check, case, failed.figures, str(failed))
    except Exception as error:  # of any kind: finding those is what this is for
        return Row(check, case, {}, reason(error))


def reason(error: BaseException) -> str:
    """An error in a line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def require(true: bool, failure: str, figures: Figures) -> Figures:
    """The figures, if what is required of them holds.

    Raises:
        FailedError: it does not.
    """
    if not true:
        raise FailedError(failure, figures)
    return figures


def append(path: Path, row: Row) -> None:
    """Add a line to a file: what was written stays if the process is killed."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(row)) + "\n")


def read(path: Path) -> list[Row]:
    """All lines of such a file; none if there is no file."""
    if not path.exists():
        return []
    return [Row(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
