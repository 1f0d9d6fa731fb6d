"""What is remarkable about a sound, found by the same code whoever reads it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SILENCE = 1e-4
"""A recording whose samples all lie below this is silent (3 steps of 16-bit audio)."""
FULL = 1 - 2**-15
"""Full scale of 16 bits."""
_LARGEST = 1e12  # of what can be a sample: whole numbers of 32 bits stored as floats are below
_CLIPPED = 10  # samples at full scale from which a file is called clipped
_LOUD = 1.1  # of full scale: what lossy codecs overshoot by goes unremarked
_CANCELLED = 1e-3  # of the channels' mean energy: their mix is 30 dB below them
_WINDOW, _STRETCH = 0.25, 1.0  # seconds looked at at a time, and from which it is no accident
_FAINT = 1e-3  # of full scale: the noise of a pause may be anything
_BRIEF = 0.1  # seconds that may be missing where samples are counted
_SHIFT = 0.1  # seconds by which the joints of a file may overlap


@dataclass
class _Phase:
    """Where a sound's channels cancel each other for a second or more."""

    seconds: float = 0.0
    first: float = 0.0
    last: float = 0.0
    """When the first such stretch begins, and the last one ends."""
    _window: tuple[float, float, float] = (0.0, 0.0, 0.0)
    _run: float = 0.0
    _run_from: float = 0.0

    def note(self, energy: float, mixed: float, start: float, seconds: float) -> None:
        """Take note of the energy of ``seconds``, the channels' mean and that of their mix."""
        length, loud, left = self._window
        length, loud, left = length + seconds, loud + energy, left + mixed
        self._window = (length, loud, left)
        if length < _WINDOW:
            return
        self._window = (0.0, 0.0, 0.0)
        if loud < _FAINT**2 * length:  # a pause says nothing
            return
        end = start + seconds
        if left >= _CANCELLED * loud:
            self._run = 0.0
            return
        self._run_from = self._run_from if self._run else end - length
        self._run += length
        if self._run >= _STRETCH:
            is_new = self._run - length < _STRETCH
            self.first = self.first if self.seconds else self._run_from
            self.seconds += self._run if is_new else length
            self.last = end

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, between {self.first:.1f} s and {self.last:.1f} s"


@dataclass
class Facts:
    """What is found out while a sound is read; complete at its end."""

    seconds: float = 0.0
    """How long it is."""
    promised: float = 0.0
    """How long its file says it is, where that is more; else 0."""
    cut_off: str = ""
    """How one sees that its file is cut off, where that does not say how long it was to be."""
    peak: float = 0.0
    """Of the largest sample of any channel; 1 is full scale."""
    undecodable: int = 0
    """Packets that could not be decoded."""
    unread: bool = False
    """Whether its file can't be read to the end."""
    left_out: float = 0.0
    """Seconds for which there was no place, the timestamps going back."""
    changed: float | None = None
    """Seconds at which its rate or channels change first."""
    _bad: int = 0
    _bad_from: float = 0.0
    _bad_to: float = 0.0
    _full: int = 0
    _energy: float = 0.0
    _mixed: float = 0.0
    _mix_peak: float = 0.0
    _phase: _Phase = field(default_factory=_Phase)

    def note(self, block: NDArray[np.float32], start: float, rate: int) -> NDArray[np.float32]:
        """Take note of samples as they are stored, (channels, n), from ``start`` seconds on.

        Returns:
            The same, with zeros for what is no number, or none that can be meant.
        """
        with np.errstate(invalid="ignore"):
            good = np.abs(block) < _LARGEST
        if not good.all():
            places = np.flatnonzero(~good.all(axis=0))
            self._bad_from = self._bad_from if self._bad else start + places[0] / rate
            self._bad_to = start + (places[-1] + 1) / rate
            self._bad += len(places)
            block = np.where(good, block, np.float32(0))
        if block.size:
            self._measure(block, start, rate)
        return block

    def _measure(self, block: NDArray[np.float32], start: float, rate: int) -> None:
        level, mix = np.abs(block), block.mean(axis=0)
        self.peak = max(self.peak, float(level.max(initial=0)))
        self._full += int((level >= FULL).sum())
        self._mix_peak = max(self._mix_peak, float(np.abs(mix).max(initial=0)))
        size = max(1, rate // 10)
        places = range(0, len(mix), size)
        energies = np.add.reduceat(np.square(block, dtype=np.float64).mean(axis=0), places)
        mixed = np.add.reduceat(np.square(mix, dtype=np.float64), places)
        self._energy += float(energies.sum())
        self._mixed += float(mixed.sum())
        for place, energy, left in zip(places, energies.tolist(), mixed.tolist(), strict=True):
            seconds = min(size, len(mix) - place) / rate
            self._phase.note(energy / rate, left / rate, start + place / rate, seconds)

    @property
    def healed(self) -> bool:
        """Whether there were samples that are no numbers."""
        return self._bad > 0

    @property
    def cancelled(self) -> bool:
        """Whether the channels are there, and their mix is not."""
        return self.peak >= SILENCE and self._mixed < _CANCELLED * self._energy

    def remarks(self, subject: str = "the sound") -> list[str]:
        """All that is remarkable, a sentence on ``subject`` each; empty as a rule."""
        found = []
        if self.promised:
            found.append(f"ends at {self.seconds:.1f} s of the {self.promised:.1f} s promised")
        elif self.cut_off:
            found.append(f"ends at {self.seconds:.1f} s: {self.cut_off}")
        if self.unread:
            found.append(f"can't be read beyond {self.seconds:.1f} s")
        if self.undecodable:
            found.append(f"has {self.undecodable} packet(s) that can't be decoded")
        if self.left_out > _SHIFT:
            found.append(f"has timestamps that go back: {self.left_out:.2f} s are left out")
        if self.changed is not None:
            found.append(f"changes its rate or channels at {self.changed:.1f} s")
        if self._bad:
            span = f"{self._bad_from:.3f} s to {self._bad_to:.3f} s"
            found.append(f"has {self._bad} sample(s) that are no numbers, taken as silence: {span}")
        if self.cancelled:
            found.append("has channels that cancel each other: their mix is silent")
        elif self.seconds and self._mix_peak < SILENCE:
            found.append(f"is silent: no sample reaches {SILENCE:g}")
        elif self._phase.seconds:
            found.append(f"has channels that cancel each other for {self._phase}")
        if self.peak > _LOUD:
            found.append(f"reaches {self.peak:.3g} of full scale")
        elif self._full >= _CLIPPED:
            found.append(f"is clipped: {self._full} samples are at full scale")
        return [f"{subject} {remark}" for remark in found]


def lacking(seconds: float, promised: float, *, exact: bool) -> float:
    """``promised`` where a sound of ``seconds`` is remarkably shorter, else 0.

    Args:
        exact: whether the promise is one of samples; the durations of containers are rough.
    """
    allowed = _BRIEF if exact else max(1.0, 0.05 * promised)
    return promised if promised - seconds > allowed else 0.0
