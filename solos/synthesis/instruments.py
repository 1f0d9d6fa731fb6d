"""What is known of each instrument: its sound in General MIDI, its range, how it moves."""

from dataclasses import dataclass
from typing import Literal

from solos import INSTRUMENTS

Motion = Literal["bow", "keys", "slide", "bellows", "pluck", "mallets"]


@dataclass(frozen=True)
class Instrument:
    """An instrument that can be played and drawn.

    Attributes:
        name: as in Solos, or as in MUSIC.
        program: General MIDI program, counted from 0.
        low, high: the comfortable range as sounding MIDI notes, both included.
        notes_per_second: fastest playing that suits it.
        motion: what the player's hands do.
        vibrato: deviation of long notes in cents.
        sustained: whether a note can swell (bowed and blown) or only decay.
        voices: lines of the score played at a time.
        glide: seconds of sliding into a note.
        formant: centre (Hz) and gain (dB) of a resonance that the sampled sound lacks.
    """

    name: str
    program: int
    low: int
    high: int
    notes_per_second: float
    motion: Motion
    vibrato: float = 0.0
    sustained: bool = True
    voices: int = 1
    glide: float = 0.0
    formant: tuple[float, float] | None = None


_ALL = (
    Instrument("Bassoon", 70, 34, 67, 7, "keys", 6),
    Instrument("Cello", 42, 36, 69, 8, "bow", 16),
    Instrument("Clarinet", 71, 50, 86, 9, "keys", 3),
    Instrument("DoubleBass", 43, 28, 55, 6, "bow", 12),
    Instrument("Flute", 73, 60, 91, 9, "keys", 12),
    Instrument("Horn", 60, 41, 74, 6, "keys", 3),
    Instrument("Oboe", 68, 58, 86, 8, "keys", 9),
    Instrument("Saxophone", 65, 49, 80, 8, "keys", 12),
    Instrument("Trombone", 57, 40, 69, 6, "slide", 6),
    Instrument("Trumpet", 56, 55, 81, 7, "keys", 6),
    Instrument("Tuba", 58, 28, 55, 5, "keys", 3),
    Instrument("Viola", 41, 48, 79, 8, "bow", 16),
    Instrument("Violin", 40, 55, 88, 9, "bow", 17),
    Instrument("accordion", 21, 53, 86, 8, "bellows", voices=2),
    Instrument("acoustic_guitar", 24, 40, 76, 8, "pluck", sustained=False, voices=2),
    # General MIDI has no erhu: its fiddle, with slides, a wide vibrato and a nasal resonance.
    Instrument("erhu", 110, 62, 86, 7, "bow", 28, glide=0.07, formant=(1150.0, 9.0)),
    Instrument("xylophone", 13, 67, 100, 9, "mallets", sustained=False),
)

BY_NAME = {instrument.name: instrument for instrument in _ALL}
"""Every instrument by its name in Solos, and the four that only MUSIC has."""

MUSIC = {
    "accordion": "accordion",
    "acoustic_guitar": "acoustic_guitar",
    "cello": "Cello",
    "clarinet": "Clarinet",
    "erhu": "erhu",
    "flute": "Flute",
    "saxophone": "Saxophone",
    "trumpet": "Trumpet",
    "tuba": "Tuba",
    "violin": "Violin",
    "xylophone": "xylophone",
}
"""MUSIC's 11 instruments, to the names above."""

SETS = {"solos": {name: name for name in INSTRUMENTS}, "music": MUSIC}
"""Instruments of each training set: its own name, to the names above."""
