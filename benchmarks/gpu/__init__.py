"""All that a GPU has to show, in one command: ``python -m benchmarks.gpu``.

It needs no data: the recordings are made up in a temporary folder, and go through the project's own
data sets, training loop and scoring. Each check (:data:`benchmarks.gpu.checks.CHECKS`) runs in a
process of its own, so that one that fails, hangs or is killed is a line of the table, and no more.
"""
