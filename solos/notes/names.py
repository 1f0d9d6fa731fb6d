"""What a recorded note's file name says, as the Philharmonia Orchestra names its samples.

``<instrument>_<pitch>_<length>_<dynamic>_<articulation>.mp3``: ``double-bass_Fs3_025_forte_
arco-normal.mp3`` is an F sharp 3 of a quarter second.
"""

import re
from dataclasses import dataclass

INSTRUMENTS = {
    "bassoon": "Bassoon",
    "cello": "Cello",
    "clarinet": "Clarinet",
    "double-bass": "DoubleBass",
    "flute": "Flute",
    "french-horn": "Horn",
    "oboe": "Oboe",
    "saxophone": "Saxophone",
    "trombone": "Trombone",
    "trumpet": "Trumpet",
    "tuba": "Tuba",
    "viola": "Viola",
    "violin": "Violin",
}
"""The orchestra's names, to Solos'."""
ARTICULATIONS = ("normal", "arco-normal")
"""Ordinary ones: what is plucked, muted or fluttered is not played from."""
LENGTHS = ("025", "05", "1", "15", "long", "very-long")
"""Seconds, without the point; all else are phrases."""
VELOCITIES = {
    "pianissimo": 45,
    "piano": 60,
    "mezzo-piano": 73,
    "mezzo-forte": 86,
    "forte": 100,
    "fortissimo": 115,
}
"""Dynamics as MIDI velocities."""
_NAME = re.compile(
    r"(?P<player>[a-z-]+)_(?P<step>[A-G])(?P<sharp>s?)(?P<octave>\d)_(?P<length>[a-z0-9-]+)_"
    r"(?P<dynamic>[a-z-]+)_(?P<articulation>[a-z-]+)\.(?i:mp3|wav|flac|ogg|aiff?)"
)
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True)
class NoteName:
    """A note by its file's name: instrument as in Solos, MIDI pitch, MIDI velocity."""

    instrument: str
    pitch: int
    velocity: int


class NotPlayedError(ValueError):
    """A file is no note to play from; the text says why."""


def parse(name: str) -> NoteName:
    """Read a file's name.

    Raises:
        NotPlayedError: another naming, instrument, length, dynamic or articulation.

    >>> parse("double-bass_Fs3_025_forte_arco-normal.mp3")
    NoteName(instrument='DoubleBass', pitch=54, velocity=100)
    """
    found = _NAME.fullmatch(name)
    if not found:
        raise NotPlayedError("not named <instrument>_<pitch>_<length>_<dynamic>_<articulation>")
    if found["player"] not in INSTRUMENTS:
        raise NotPlayedError("none of the 13 instruments")
    if found["articulation"] not in ARTICULATIONS:
        raise NotPlayedError("another articulation than the ordinary one")
    if found["length"] not in LENGTHS:
        raise NotPlayedError("a phrase, no single note")
    if found["dynamic"] not in VELOCITIES:
        raise NotPlayedError("no single dynamic")
    pitch = 12 * (int(found["octave"]) + 1) + _STEPS[found["step"]] + bool(found["sharp"])
    return NoteName(INSTRUMENTS[found["player"]], pitch, VELOCITIES[found["dynamic"]])
