"""Which scores of music21's corpus are played; the training sets and the test set share none.

Training uses Mozart's K. 156 and K. 458, Haydn's op. 74, Beethoven, Bach's chorales, and so on; the
ensembles of the test set use K. 80 and K. 155, Haydn's op. 1, Corelli, Luca, Lusitano, Palestrina
and Monteverdi.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """A movement of the corpus.

    Attributes:
        path: in music21's corpus.
        tempo: quarter notes a minute.
        parts: indices of the parts that are single lines.
    """

    path: str
    tempo: float
    parts: tuple[int, ...] = (0, 1, 2, 3)


@dataclass(frozen=True)
class Ensemble:
    """A piece of the test set.

    Attributes:
        name: middle part of URMP's folder name.
        codes: URMP's codes of the instruments, one a part.
        work: the score; its ``parts`` are in the order of ``codes``.
    """

    name: str
    codes: tuple[str, ...]
    work: Work


_CHORALES = (
    ("bwv10.7", 76),
    ("bwv101.7", 72),
    ("bwv115.6", 84),
    ("bwv140.7", 88),
    ("bwv153.9", 80),
    ("bwv20.7", 76),
    ("bwv227.7", 84),
    ("bwv254", 92),
    ("bwv26.6", 84),
    ("bwv269", 80),
    ("bwv282", 76),
    ("bwv300", 84),
    ("bwv328", 96),
    ("bwv349", 80),
    ("bwv368", 92),
    ("bwv393", 76),
    ("bwv40.8", 88),
    ("bwv414", 84),
    ("bwv427", 80),
    ("bwv66.6", 72),
)
_TUNES = (
    ("AcrobatsHornpipe", 108),
    ("AmazonHornpipe", 100),
    ("BanishMisfortune", 120),
    ("AllyCroakersFavoriteReel", 112),
    ("AmericanHornpipe", 104),
    ("BellaUnionReel", 116),
)

TRAINING = (
    Work("mozart/k156/movement1", 132),
    Work("mozart/k156/movement2", 50),
    Work("mozart/k156/movement3", 116),
    Work("mozart/k156/movement4", 58),
    Work("mozart/k458/movement2", 104),
    Work("mozart/k458/movement3", 42),
    Work("mozart/k458/movement4", 116),
    Work("haydn/opus74no1/movement1", 108),
    Work("haydn/opus74no1/movement2", 60),
    Work("haydn/opus74no1/movement3", 138),
    Work("beethoven/opus18no1/movement2.mxl", 84),
    Work("beethoven/opus18no1/movement3.mxl", 168),
    Work("beethoven/opus59no1/movement3", 44),
    Work("schumann_robert/opus41no1/movement3", 66),
    Work("schumann_clara/opus17/movement3", 76, (0, 1)),
    Work("weber/concertino_clarinet", 92, (0,)),
    Work("schubert/Lindenbaum", 66, (0,)),
    *(Work(f"bach/{name}.mxl", tempo) for name, tempo in _CHORALES),
    *(Work(f"ryansMammoth/{name}", tempo, (0,)) for name, tempo in _TUNES),
)
"""Scores of the training sets."""

ENSEMBLES = (
    Ensemble("Adagio", ("vn", "vc"), Work("mozart/k80/movement1", 56, (0, 3))),
    Ensemble("Allegro", ("fl", "cl"), Work("mozart/k155/movement1", 120, (0, 1))),
    Ensemble("Menuet", ("tpt", "sax"), Work("haydn/opus1no1/movement2", 112, (0, 2))),
    Ensemble("Grave", ("vn", "vn", "vc"), Work("corelli/opus3no1/1grave", 66, (0, 1, 2))),
    Ensemble("Gloria", ("cl", "cl", "bn"), Work("luca/gloria", 120, (0, 1, 2))),
    Ensemble("Ignuda", ("tpt", "hn", "tba"), Work("lusitano/allor_che_ignuda", 112, (0, 1, 2))),
    Ensemble("Andante", ("vn", "vn", "va", "vc"), Work("mozart/k155/movement2", 60)),
    Ensemble("Menuetto", ("fl", "ob", "cl", "bn"), Work("mozart/k80/movement3", 112)),
    Ensemble("Trio", ("tpt", "tpt", "hn", "tbn"), Work("haydn/opus1no1/movement4", 108)),
    Ensemble("Rondeau", ("cl", "sax", "tbn", "tba"), Work("mozart/k80/movement4", 108)),
    Ensemble(
        "Madrigal",
        ("vn", "vn", "va", "vc", "db"),
        Work("monteverdi/madrigal.3.1.mxl", 132, (0, 1, 2, 3, 4)),
    ),
    Ensemble(
        "Agnus", ("fl", "ob", "cl", "hn", "bn"), Work("palestrina/Agnus_01", 152, (0, 1, 2, 3, 4))
    ),
)
"""Pieces of the test set; a run with ``pieces: n`` renders the first n."""
