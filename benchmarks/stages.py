"""Minutes of each stage of ``dvc repro``, in the order they ran, with the machine's load.

``python -m benchmarks.stages [DVC'S ARGUMENTS]`` from the project's folder. What is up to date is
not run: for a whole run take a fresh clone. Installation is not in it.
"""

import os
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

_STAGE = re.compile(r"Running stage '(.+)':")


def main() -> None:
    begun = [("dvc itself", time.monotonic())]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", *sys.argv[1:]],
        env=os.environ | {"PATH": programs},  # the stages' python is this one
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    for line in process.stdout:
        print(line, end="", flush=True)
        if found := _STAGE.match(line):
            begun.append((found[1], time.monotonic()))
    status = process.wait()
    ends = [*begun, ("", time.monotonic())]
    print("\n| stage | minutes |\n|---|---|")
    for (stage, start), (_, end) in pairwise(ends):
        print(f"| `{stage}` | {(end - start) / 60:.1f} |")
    print(f"| all | {(ends[-1][1] - begun[0][1]) / 60:.1f} |")
    print(f"\nload at the end: {os.getloadavg()[2]:.1f} (15 minutes) on {os.cpu_count()} cores")
    sys.exit(status)


if __name__ == "__main__":
    main()
