"""Which recordings and pieces there are: the index of a training set, MUSIC's list, URMP's folders.

Tables and folders come in, records with paths and instruments go out; no file of sound or pictures
is opened. May import ``config`` and ``storage``.
"""

from solos.datasets.urmp import read_pieces

__all__ = ["read_pieces"]
