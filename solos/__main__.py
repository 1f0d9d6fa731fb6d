"""``python -m solos``."""

import sys

from solos.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
