"""A large index: an immutable segment, and in memory what was written since.

Source: O'Neil et al. 1996, The Log-Structured Merge-Tree, §2, with one component on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memory.entry import Entry, Found
from memory.index.ask import Ask, Searched
from memory.index.bm25 import Corpus
from memory.index.inverted import Places
from memory.index.segment import Segment
from memory.index.shelf import Shelf
from memory.index.vectors import Growing
from memory.words import content_words


class Layers:
    """Approximate, as a segment is. Questions may come at once; changes must come alone."""

    def __init__(self, segment: Segment, dim: int) -> None:
        self.segment = segment
        self.tail = Shelf(dim, lambda: Growing(segment.cells.fresh(), dim))

    def __len__(self) -> int:
        return len(self.segment) + len(self.tail)

    def put(self, entries: Iterable[Entry]) -> None:
        """Add entries, or replace those of the same id."""
        fresh = list(entries)
        for entry in fresh:
            self.segment.kill(entry.id)
        self.tail.put(fresh)

    def drop(self, ids: Iterable[str]) -> None:
        """Remove entries; unknown ids are none of its business."""
        for id_ in ids:
            self.segment.kill(id_)
            self.tail.drop([id_])

    def search(self, ask: Ask) -> Searched:
        """The best of each ranker over both layers, in no order."""
        words = sorted(set(content_words(ask.text)))
        places = self.segment.inverted.places(words)
        corpus = self.corpus(words, places)
        found = self.segment.search(ask, self.segment.inverted.terms(words, places, corpus), corpus)
        if len(self.tail):
            found += self.tail.search_in(ask, words, corpus)
        near = _best([one.dense for one in found], found, ask.n)
        alike = _best([one.lexical for one in found], found, ask.n)
        return Searched(tuple(found[place] for place in dict.fromkeys(near + alike)), exact=False)

    def corpus(self, words: Sequence[str], places: Places) -> Corpus:
        """What words are weighed against: all rows, those no longer alive included until the next merge."""
        holding = zip(words, self.segment.inverted.holding(places), strict=True)
        return Corpus(
            self.segment.n_rows + self.tail.n_rows,
            self.segment.n_words + self.tail.n_words,
            {word: n + self.tail.holding(word) for word, n in holding},
        )


def _best(scores: Iterable[float | None], found: Sequence[Found], n: int) -> list[int]:
    """Places of the `n` of highest score, ties by id."""
    scored = [(-score, found[place].id, place) for place, score in enumerate(scores) if score is not None]
    return [place for _, _, place in sorted(scored)[:n]]
