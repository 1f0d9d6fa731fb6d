"""``python -m solos.score --references DIR --estimates DIR``: the command ``solos score``."""

import sys

from solos.commands.cli import main

if __name__ == "__main__":
    sys.exit(main(["score", *sys.argv[1:]]))
