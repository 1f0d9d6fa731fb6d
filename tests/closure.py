"""Which rooms of the project a stage reaches: imports followed as text, nothing is run."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    *("config", "storage", "media", "signal", "datasets", "download", "preparation", "models"),
    *(
        "training",
        "evaluation",
        "separation",
        "statistics",
        "report",
        "synthesis",
        "notes",
        "commands",
    ),
)
"""In the order of the flow: a room imports those before it alone."""


def networks() -> set[str]:
    """Modules with a function ``build``: they stand apart, as a row depends on its own alone."""
    return {
        name for name in files_of("solos/models") if "\ndef build(" in (ROOT / name).read_text()
    }


def imported_modules(path: Path) -> set[str]:
    """Dotted names of the project's modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module in ("solos", "pipeline"):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return {name for name in names if name.split(".")[0] in ("solos", "pipeline")}


def place_of(module: str) -> str:
    """The room of a module, or its file where it is in none: a path from the project's root."""
    parts = module.split(".")
    room = "/".join(parts[:2])
    if (ROOT / room).is_dir():
        return room
    return f"{room}.py" if (ROOT / f"{room}.py").exists() else f"{parts[0]}/__init__.py"


@cache
def _imports_of(place: str) -> frozenset[str]:
    path = ROOT / place
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    return frozenset(place_of(name) for file in files for name in imported_modules(file))


def reached_by(place: str) -> set[str]:
    """Rooms, and files in none, that a file or room of the project needs, itself included."""
    seen, todo = set(), [place, "solos/__init__.py"]
    while todo:
        place = todo.pop()
        if place not in seen:
            seen.add(place)
            todo += _imports_of(place)
    return seen


def files_of(room: str) -> set[str]:
    """The modules of a room."""
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / room).glob("*.py")}
