"""Retrieval quality without a model: is the evidence among the first k?

LoCoMo: one namespace a conversation, one item a turn ("speaker: what was said"), every question that names
turns that exist. HotpotQA: all paragraphs of all questions in one namespace, the supporting ones are
evidence. All contenders get the same MiniLM vectors. Data are read from `../shared/data` and never leave it;
what is kept are shares.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from field import Field, Notes, loaded
from material import DIM, Material, Matrix, save
from plan import Plan
from protocol import ROOT, Seat

from memory.encoder import open_encoder
from memory.words import STOP_WORDS, plain_words

DEPTHS = (1, 5, 10, 20)


@dataclass(frozen=True)
class Corpus:
    name: str
    spaces: list[int]
    texts: list[str]
    questions: list[str]
    evidence: list[set[int]]
    """Row numbers, of each question."""


def measure(plan: Plan) -> None:
    notes = Notes(plan.notes / "quality.jsonl")
    data = Path(os.environ.get("APPRENTICE_DATA", ROOT.parent / "shared" / "data"))
    if not data.exists():
        notes.add(what="failed", name="all", do="quality", why=f"no data in {data.name!r}")
        return
    for corpus in (locomo(data / "locomo_dev.json"), hotpot(data / "hotpotqa")):
        material = _material(plan.folder / "material" / corpus.name, corpus)
        _note(notes, corpus, "dense", _dense(material))
        _note(notes, corpus, "bm25", _bm25(corpus))
        home = plan.folder / "quality" / corpus.name
        shutil.rmtree(home, ignore_errors=True)
        seats = [Seat(name, home / name, material.folder, 0) for name in ("ours", *plan.peers)]
        ready = loaded(seats, notes, limit_s=plan.load_limit_s, corpus=corpus.name)
        with Field(ready, notes, corpus=corpus.name) as field:
            for name, answer in field.each("answers", k=DEPTHS[-1], served=True):
                _note(notes, corpus, name, _by_depth(field, name, answer["rows"]))
            field.close()
        shutil.rmtree(home, ignore_errors=True)


def _by_depth(field: Field, name: str, deepest: list[list[int]]) -> list[list[list[int]]]:
    """Peers list the same items first whatever k is; our recall weighs values and caps for its k."""
    if name != "ours":
        return [deepest] * len(DEPTHS)
    ours = field.children["ours"]
    return [*(ours.call("answers", k=k, served=True)["rows"] for k in DEPTHS[:-1]), deepest]


def locomo(path: Path) -> Corpus:
    corpus = Corpus("locomo", [], [], [], [])
    for space, one in enumerate(json.loads(path.read_text(encoding="utf-8"))):
        numbers: dict[str, int] = {}
        for session in one["conversation"].values():
            if not isinstance(session, list):
                continue
            for turn in session:
                numbers[turn["dia_id"]] = len(corpus.texts)
                corpus.spaces.append(space)
                corpus.texts.append(_line(f"{turn['speaker']}: {turn['text']}"))
        for asked in one["qa"]:
            evidence = {numbers[id_] for id_ in asked.get("evidence", []) if id_ in numbers}
            if evidence:
                corpus.questions.append(_line(asked["question"]))
                corpus.evidence.append(evidence)
    return corpus


def hotpot(folder: Path) -> Corpus:
    corpus = Corpus("hotpotqa", [], [], [], [])
    numbers: dict[str, int] = {}
    for path in sorted(folder.glob("*.json")):
        for one in json.loads(path.read_text(encoding="utf-8")):
            for title, sentences in _parsed(one["context"]):
                text = _line(f"{title}: {''.join(sentences)}")
                if text not in numbers:
                    numbers[text] = len(corpus.texts)
                    corpus.spaces.append(0)
                    corpus.texts.append(text)
            gold = {title for title, _ in _parsed(one["supporting_facts"])}
            corpus.questions.append(_line(one["question"]))
            own = [
                _line(f"{title}: {''.join(said)}") for title, said in _parsed(one["context"]) if title in gold
            ]
            corpus.evidence.append({numbers[text] for text in own})
    return corpus


def _parsed(value: Any) -> list[Any]:
    parsed: list[Any] = json.loads(value) if isinstance(value, str) else value
    return parsed


def _line(text: str) -> str:
    return " ".join(text.split())


def _material(folder: Path, corpus: Corpus) -> Material:
    if not (folder / "targets.npy").exists():
        folder.mkdir(parents=True, exist_ok=True)
        encoder = open_encoder("minilm")
        np.save(folder / "vectors.npy", _encoded(encoder, corpus.texts))
        np.save(folder / "spaces.npy", np.array(corpus.spaces))
        targets = [min(rows) for rows in corpus.evidence]  # says the namespace of a question
        save(
            folder,
            len(corpus.texts),
            corpus.texts,
            corpus.questions,
            _encoded(encoder, corpus.questions),
            targets,
        )
    return Material(folder, 0)


def _encoded(encoder: Any, texts: Sequence[str]) -> Matrix:
    vectors: Matrix = encoder.encode(texts).reshape(len(texts), DIM)
    return vectors


def _dense(material: Material) -> list[list[list[int]]]:
    """Exact cosine within the namespace, nothing else."""
    vectors = np.array(material.vectors)
    spaces = np.array([material.space(number) for number in range(material.n)])
    best = []
    for question in material.questions:
        rows = np.flatnonzero(spaces == question.space)
        best.append(rows[np.argsort(-(vectors[rows] @ question.vector))][: DEPTHS[-1]].tolist())
    return [best] * len(DEPTHS)


def _bm25(corpus: Corpus) -> list[list[list[int]]]:
    """SQLite's FTS5 with stemming, one table a namespace, so that no other counts."""
    base = sqlite3.connect(":memory:")
    for space in set(corpus.spaces):
        base.execute(f"CREATE VIRTUAL TABLE s{space} USING fts5(text, tokenize = 'porter unicode61')")
        rows = [(number, corpus.texts[number]) for number, own in enumerate(corpus.spaces) if own == space]
        base.executemany(f"INSERT INTO s{space} (rowid, text) VALUES (?, ?)", rows)
    best = []
    for asked, evidence in zip(corpus.questions, corpus.evidence, strict=True):
        table = f"s{corpus.spaces[min(evidence)]}"
        # Words as they stand: it stems them itself.
        said = [word for word in plain_words(asked) if word not in STOP_WORDS] or plain_words(asked)
        match = " OR ".join(f'"{word}"' for word in said)
        found = f"SELECT rowid FROM {table} WHERE {table} MATCH ? ORDER BY rank LIMIT {DEPTHS[-1]}"
        best.append([row for (row,) in base.execute(found, (match,))] if match else [])
    return [best] * len(DEPTHS)


def _note(notes: Notes, corpus: Corpus, name: str, found: Sequence[Sequence[Sequence[int]]]) -> None:
    """Share of its evidence among the first k, of every question, so that pairs can be compared."""
    for k, answers in zip(DEPTHS, found, strict=True):
        shares = [
            len(set(rows[:k]) & evidence) / len(evidence)
            for rows, evidence in zip(answers, corpus.evidence, strict=True)
        ]
        shown = float(np.mean([len(rows[:k]) for rows in answers]))
        notes.add(what="quality", corpus=corpus.name, name=name, k=k, shown=shown, shares=shares)
