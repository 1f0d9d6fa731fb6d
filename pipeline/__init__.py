"""One thin file a DVC stage: read ``params.yaml``, call the library, write the declared outputs."""

import os

# Before torch is loaded: its threads (GNU's OpenMP) wait for each other by turning on the spot, and
# where other programs want these cores, that may take most of the time (docs/speed.md).
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
