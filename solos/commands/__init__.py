"""The command ``solos``: a module a command, with ``add_arguments(parser)`` and ``run(arguments)``.

A command line comes in; files, lines and an exit code go out. The last room: it may import all
others, and none imports it.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # before torch is loaded, as for the stages
