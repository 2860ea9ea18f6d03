"""What is stored and what is asked: vectors, texts, namespaces, questions, and the exact answers.

Vectors: 64 topics; leaf centres, one for 50 items, are a topic plus 0.8 of noise; an item is a leaf plus 0.7
of noise, a question is an item plus 0.4 of noise, where one unit of noise is a Gaussian vector of expected
length one; everything is scaled to length one. Uniform vectors would make nearness meaningless. Texts: 6 to
20 words of 30,000 made ones, by Zipf-Mandelbrot with shift 30 (the words before it are the stop words, which
rankers drop); a question has four words of the item it was made from and four others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIM = 384
SPARE = 20_000
"""Rows beyond those loaded, for writers."""
N_QUESTIONS = 200
K = 10
WORDS = 30_000
SHIFT = 30
TOPICS = 64
LEAF = 50
BLOCK = 20_000

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Question:
    space: str
    text: str
    vector: Matrix
    """(d,)"""


@dataclass(frozen=True)
class Row:
    number: int
    space: str
    text: str
    vector: Matrix
    """(d,)"""


class Material:
    """One folder of it, read lazily: the first `n` rows are loaded, the rest are the writers'."""

    def __init__(self, folder: Path, n_spaces: int) -> None:
        self.folder = folder
        self.n_spaces = n_spaces
        """0 where the folder says which namespace each row is of."""

    @cached_property
    def n(self) -> int:
        return int(np.load(self.folder / "n.npy"))

    @cached_property
    def vectors(self) -> Matrix:
        matrix: Matrix = np.load(self.folder / "vectors.npy", mmap_mode="r")
        return matrix

    @cached_property
    def texts(self) -> list[str]:
        return (self.folder / "texts.txt").read_text(encoding="utf-8").split("\n")

    @cached_property
    def questions(self) -> list[Question]:
        texts = (self.folder / "questions.txt").read_text(encoding="utf-8").split("\n")
        vectors = np.load(self.folder / "questions.npy")
        targets = np.load(self.folder / "targets.npy").tolist()
        return [
            Question(self.space(target), text, vector)
            for target, text, vector in zip(targets, texts, vectors, strict=True)
        ]

    @cached_property
    def _spaces(self) -> NDArray[np.int64]:
        spaces: NDArray[np.int64] = np.load(self.folder / "spaces.npy")
        return spaces

    @property
    def n_rows(self) -> int:
        """With the spare ones."""
        return len(self.vectors)

    def space(self, number: int) -> str:
        return f"s{number % self.n_spaces if self.n_spaces else self._spaces[number]}"

    def row(self, number: int) -> Row:
        vector = np.array(self.vectors[number])
        return Row(number, self.space(number), self.texts[number], vector)

    def rows(self, begin: int, end: int) -> list[Row]:
        block = np.array(self.vectors[begin:end])
        return [
            Row(number, self.space(number), self.texts[number], vector)
            for number, vector in zip(range(begin, end), block, strict=True)
        ]

    @cached_property
    def exact(self) -> NDArray[np.int64]:
        """Rows of the K nearest of each question within its namespace (questions, K)."""
        path = self.folder / f"exact-{self.n_spaces}.npy"
        if not path.exists():
            np.save(path, _nearest(self.vectors[: self.n], self))
        found: NDArray[np.int64] = np.load(path)
        return found


def synthetic(folder: Path, n: int, spare: int = SPARE) -> Path:
    """Make the material of `n` items once; the same for the same `n`."""
    folder = folder / f"{n}-{spare}"
    if (folder / "targets.npy").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(n)
    total = n + spare
    leaves = _leaves(random, total // LEAF)
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (total, DIM))
    for begin in range(0, total, BLOCK):
        size = min(BLOCK, total - begin)
        centres = leaves[random.integers(len(leaves), size=size)]
        vectors[begin : begin + size] = _jittered(random, centres, 0.7)
    vectors.flush()
    words = _Words(random)
    texts = [words.some(int(size)) for size in random.integers(6, 21, size=total)]
    targets = random.choice(n, size=N_QUESTIONS, replace=n < N_QUESTIONS)
    asked = _jittered(random, np.array(vectors[targets]), 0.4)
    questions = [" ".join([*texts[target].split()[:4], words.some(4)]) for target in targets]
    save(folder, n, texts, questions, asked, targets)
    return folder


def save(
    folder: Path, n: int, texts: Sequence[str], questions: Sequence[str], asked: Matrix, targets: Any
) -> None:
    """Everything but the vectors, which are there already."""
    (folder / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    (folder / "questions.txt").write_text("\n".join(questions), encoding="utf-8")
    np.save(folder / "questions.npy", asked)
    np.save(folder / "n.npy", n)
    np.save(folder / "targets.npy", np.asarray(targets, dtype=np.int64))


class _Words:
    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        odds = 1.0 / (np.arange(WORDS) + SHIFT + 1.0)
        self._ladder = np.cumsum(odds / odds.sum())
        self._said = [_word(number) for number in range(WORDS)]

    def some(self, size: int) -> str:
        picked = np.searchsorted(self._ladder, self._random.random(size))
        return " ".join(self._said[min(number, WORDS - 1)] for number in picked)


def _word(number: int) -> str:
    """Pronounceable and different for each number."""
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    made = ""
    for _ in range(3):
        number, rest = divmod(number, len(syllables))
        made += syllables[rest]
    return made


def _leaves(random: np.random.Generator, n: int) -> Matrix:
    topics = _jittered(random, np.zeros((TOPICS, DIM), dtype=np.float32), 1.0)
    return _jittered(random, topics[random.integers(TOPICS, size=max(n, 1))], 0.8)


def _jittered(random: np.random.Generator, centres: Matrix, noise: float) -> Matrix:
    moved = centres + noise / np.sqrt(DIM) * random.standard_normal(centres.shape, dtype=np.float32)
    unit: Matrix = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _nearest(vectors: Matrix, material: Material) -> NDArray[np.int64]:
    questions = material.questions
    best = np.zeros((len(questions), K), dtype=np.int64)
    step = max(material.n_spaces, 1)
    for space in {question.space for question in questions}:
        mine = [place for place, question in enumerate(questions) if question.space == space]
        matrix = np.array(vectors[int(space[1:]) :: step] if step > 1 else vectors)
        asked = np.stack([questions[place].vector for place in mine])
        scores = asked @ matrix.T  # (questions, rows)
        top = np.argpartition(-scores, K, axis=1)[:, :K]
        best[mine] = top * step + int(space[1:]) if step > 1 else top
    return best
