"""Work on many items that an interruption does not lose.

Each item's results lie in a folder of their own, named after the item and a fingerprint of all that
determines them (settings, source bytes, code), outside any stage's outputs: DVC deletes outputs
before a stage runs. A folder is there only once it is complete; outputs are hard links into it.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

RESULT = "result.json"


def once(folder: Path, compute: Callable[[Path], dict]) -> dict:
    """``compute(folder)``, unless an earlier run finished it; its dictionary is kept as JSON.

    ``compute`` writes its files into the folder it is given. If it raises, nothing is kept.
    """
    known = folder / RESULT
    if known.exists():
        return json.loads(known.read_text(encoding="utf-8"))
    partial = folder.with_name(f".partial-{folder.name}")
    empty(partial)
    try:
        result = compute(partial)
    except BaseException:
        shutil.rmtree(partial)
        raise
    (partial / RESULT).write_text(json.dumps(result), encoding="utf-8")
    partial.rename(folder)
    return result


def empty(folder: Path) -> None:
    """Make ``folder`` an existing, empty one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def link(source: Path, target: Path) -> None:
    """Hard-link ``source`` to ``target``, replacing it; copy where links are impossible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def prune(root: Path, keep: Iterable[str]) -> None:
    """Remove from ``root`` all folders but those named in ``keep``, and what was left half done."""
    kept = set(keep)
    for folder in sorted(root.glob("*")):
        if folder.name not in kept:
            shutil.rmtree(folder)
