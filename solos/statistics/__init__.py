"""What stands behind the means of Table II: intervals, breakdowns, paired comparisons.

Tables of scores come in, tables of figures go out. May import ``config``, ``storage``, ``datasets``
and ``evaluation``.
"""
