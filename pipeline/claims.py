"""Items made each once, whoever else is at them: this process holds their locks, workers compute.

So a lock is always one of this machine's file system and ends with this process, be the workers on
other machines, or dead; and what is there already is sent to none.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tqdm import tqdm

from pipeline.common import progress
from pipeline.engines.spread import spread
from solos.config.params import Parallel
from solos.storage.cache import Cache


@dataclass(frozen=True)
class Making:
    """What is made of items, by their names in the cache."""

    cache: Cache
    compute: Callable[[object, Path], dict]
    """Of an item, into a folder; as in :meth:`Cache.make`."""
    lasting: Callable[[dict], bool]
    in_place: bool

    def one(self, name: str, item: object) -> dict:
        """Its result, made in this process."""
        compute = partial(self.compute, item)
        return self.cache.make(name, compute, lasting=self.lasting, in_place=self.in_place)

    def all(
        self, items: Sequence[tuple[str, object]], parallel: Parallel, title: str
    ) -> list[dict]:
        """Results of named items, made by workers.

        What another process has is left until the end. This one waits for it only while it holds
        no lock itself, so that no two wait for each other.
        """
        results: dict[int, dict] = {}
        with progress(None, title, len(items)) as bar:
            left, wait = dict(enumerate(items)), False
            while left:
                others = _Round(self, left, results, bar).run(parallel, wait)
                wait, left = len(others) == len(left), others
        return [results[number] for number in range(len(items))]


@dataclass(frozen=True)
class _Round:
    """Once through the items that are not there yet."""

    making: Making
    items: dict[int, tuple[str, object]]
    results: dict[int, dict]
    bar: tqdm
    claims: dict[int, ExitStack] = field(default_factory=dict)
    others: dict[int, tuple[str, object]] = field(default_factory=dict)

    def run(self, parallel: Parallel, wait: bool) -> dict[int, tuple[str, object]]:
        """Fill in results; the items that another process has (if to wait, but for the first)."""
        making = self.making
        function = partial(_attempt, making.cache, making.compute, making.in_place)
        try:
            with closing(spread(function, self._begin(wait), parallel)) as attempts:
                for number, (folder, result) in attempts:
                    making.cache.keep(self.items[number][0], folder, result, making.lasting)
                    self._finish(number, result)
        finally:
            for claim in self.claims.values():
                claim.close()
        return self.others

    def _begin(self, wait: bool) -> Iterator[tuple[int, tuple[str, object]]]:
        """Claim what is free; what is to be made."""
        for number, (name, item) in self.items.items():
            claim = self.making.cache.claim(name, wait=wait)
            wait = False
            if claim is None:
                self.others[number] = name, item
                continue
            self.claims[number] = claim
            known = self.making.cache.known(name, self.making.lasting)
            if known is None:
                yield number, (name, item)
            else:
                self._finish(number, known)

    def _finish(self, number: int, result: dict) -> None:
        self.results[number] = result
        self.claims.pop(number).close()
        self.bar.update()


def _attempt(
    cache: Cache, compute: Callable[[object, Path], dict], in_place: bool, named: tuple[str, object]
) -> tuple[Path, dict]:
    """In a worker: files and result of an item that the process which asks for it has claimed."""
    name, item = named
    return cache.attempt(name, partial(compute, item), in_place=in_place)
