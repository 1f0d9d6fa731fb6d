"""Mixtures as samples, nearer to music than recordings that are drawn one by one.

Parts are added up here, coloured and transformed where the network computes. They come from the
extracted WAVs, not from stored spectrograms.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from solos import INSTRUMENTS, SEGMENT
from solos.config.recipes import Mixing
from solos.signal.fourier import BINS
from solos.training.mixes import by_instrument
from solos.training.store import Crop, SpectrogramStore, Stored

_OCTAVES = 10  # from a spectrum's second bin to its last
_RESTING = 0.01  # range of samples: a part whose noise alone is heard must not be scaled up


class SampleMixes(Dataset):
    """Mixes of different instruments as samples, and which of them a network may be told of.

    Args:
        n_src: fewest and most instruments of a mix, uniformly.
        length: number of mixes.
        seed: of all that is random in them.
        untold: share of the mixes in which all instruments are told.

    Items, for up to n sources: ``waves`` (n, 65535), those lacking are zero; ``colour`` (n, 512),
    what each source's spectrum is multiplied by; ``places`` (n,), instruments by number; ``told``
    (13,), 1 for those that may play. Each recording is scaled to span [-1, 1] before its level is
    drawn, and the mixture is the sources' mean. Some mixes are of an ensemble's recordings where
    they were played together.
    """

    def __init__(
        self,
        store: SpectrogramStore,
        mixing: Mixing,
        n_src: Sequence[int],
        length: int,
        seed: Sequence[int],
        untold: float = 0.0,
    ):
        self.store, self.mixing, self.n_src, self.length = store, mixing, n_src, length
        self.seed, self.untold = seed, untold
        self.by_instrument = by_instrument(store, n_src[1], "n_src or curriculum.stop")
        names = dict.fromkeys(r.ensemble for r in store.recordings if r.ensemble)
        self.ensembles = [[r for r in store.recordings if r.ensemble == name] for name in names]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([*self.seed, index])
        fewest, most = self.n_src
        n_src = int(rng.integers(fewest, most + 1))
        together = self.ensembles and rng.random() < self.mixing.together
        parts = self._together(n_src, rng) if together else self._apart(n_src, rng)
        waves, colour = np.zeros((most, SEGMENT), np.float32), np.ones((most, BINS), np.float32)
        places, told = np.zeros(most, np.int64), np.zeros(len(INSTRUMENTS), np.float32)
        for k, (instrument, crops) in enumerate(parts.items()):
            for crop in crops:
                wave = self.store.wave(crop.recording, crop.start)
                waves[k, : len(wave)] += wave * np.float32(crop.gain) + np.float32(crop.offset)
            colour[k] = self._colour(rng)
            places[k] = INSTRUMENTS.index(instrument)
            told[places[k]] = 1
        if rng.random() < self.untold:
            told[:] = 1
        item = {"waves": waves / len(parts), "colour": colour, "places": places, "told": told}
        return {name: torch.from_numpy(value) for name, value in item.items()}

    def _apart(self, n_src: int, rng: np.random.Generator) -> dict[str, list[Crop]]:
        """Crops of any recordings of some instruments."""
        parts = {}
        for chosen in rng.choice(len(self.by_instrument), n_src, replace=False):
            recordings = self.by_instrument[chosen]
            crops = []
            for _ in range(1 + (rng.random() < self.mixing.doubled)):
                recording = recordings[rng.integers(len(recordings))]
                start, ends = self.store.place(recording, rng)
                crops.append(self._crop(recording, start, ends, rng))
            parts[recordings[0].instrument] = crops
        return parts

    def _together(self, n_src: int, rng: np.random.Generator) -> dict[str, list[Crop]]:
        """What up to ``n_src`` instruments of an ensemble play at a time, those that are silent
        left out; of any recordings if that leaves fewer than two."""
        members = self.ensembles[rng.integers(len(self.ensembles))]
        shortest = min(members, key=lambda member: member.spans[-1][1])
        start, _ = self.store.place(shortest, rng)
        parts: dict[str, list[Crop]] = {}
        for place in rng.permutation(len(members)):
            member = members[place]
            wave = self.store.wave(member, start)
            low, high = float(wave.min()), float(wave.max())
            if high - low > _RESTING and (member.instrument in parts or len(parts) < n_src):
                crop = self._crop(member, start, (low, high), rng)
                parts.setdefault(member.instrument, []).append(crop)
        return parts if len(parts) > 1 else self._apart(n_src, rng)

    def _crop(
        self, recording: Stored, start: int, ends: tuple[float, float], rng: np.random.Generator
    ) -> Crop:
        low, high = ends
        gain = 10 ** (rng.normal(0, self.mixing.level) / 20) / (high - low)
        return Crop(recording, start, 2 * gain, -(high + low) * gain)

    def _colour(self, rng: np.random.Generator) -> NDArray:
        points = rng.normal(0, self.mixing.colour, _OCTAVES)
        octaves = np.log2(np.maximum(np.arange(BINS), 1))
        return 10 ** (np.interp(octaves, np.arange(len(points)), points) / 20)
