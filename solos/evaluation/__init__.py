"""Scores of estimates: BSS Eval, SI-SDR, the test set's segments, oracles, rows of Table II.

References and estimates come in as arrays or prepared files, decibels and tables go out; networks
are not known here. May import ``config``, ``storage`` and ``signal``.
"""

from solos.evaluation.metrics import bss_eval, si_sdr

__all__ = ["bss_eval", "si_sdr"]
