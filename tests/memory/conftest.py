"""A memory in a fresh folder, and short ways to say what should be in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import (
    CaseBody,
    Constitution,
    Draft,
    Episode,
    Evidence,
    Item,
    Lineage,
    Message,
    Outcome,
    PrincipleBody,
    Query,
    Recall,
)

OpenMemory = Callable[..., Memory]
BOTH = (
    *(
        "test_court",
        "test_extend",
        "test_forgetting",
        "test_history",
        "test_namespaces",
        "test_operating",
        "test_policies",
    ),
    *("test_remember", "test_utility", "test_versions"),
)
"""Modules whose tests run on SQLite and on PostgreSQL."""


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Say:
    """Shorthand for drafts, episodes and questions of one namespace."""

    def __init__(self, memory: Memory, namespace: str = "home") -> None:
        self.memory = memory
        self.namespace = namespace

    def case(
        self,
        text: str,
        *,
        outcome: Outcome = "success",
        cause: str | None = None,
        lesson: str | None = None,
        family: str | None = None,
        evidence: tuple[Evidence, ...] = (),
        valid_to: float | None = None,
    ) -> Draft:
        return Draft(
            kind="case",
            text=text,
            body=CaseBody(text, ("look",), lesson or text, cause),
            scope="family" if family else "namespace",
            family=family,
            outcome=outcome,
            lineage=Lineage(evidence),
            valid_to=valid_to,
        )

    def principle(self, text: str, *, evidence: tuple[Evidence, ...] = ()) -> Draft:
        return Draft("principle", text, PrincipleBody("global", "neural", 1), lineage=Lineage(evidence))

    def remember(self, *drafts: Draft) -> tuple[Item, ...]:
        return self.memory.remember(self.namespace, drafts, principal="ada", channel="user")

    def recall(self, text: str, **rest: object) -> Recall:
        query = replace(Query(self.namespace, text), **rest)  # type: ignore[arg-type]
        return self.memory.recall(query, count_tokens=count_words)

    def episode(
        self,
        id_: str,
        recall: Recall | None = None,
        *,
        outcome: Outcome = "success",
        reward: float | None = None,
        task_id: str = "task-1",
        constitution: Constitution | None = None,
    ) -> Episode:
        return Episode(
            id=id_,
            namespace=self.namespace,
            task_id=task_id,
            task="put a mug on the shelf",
            world="household",
            family="maple 7",
            group="g",
            messages=(Message("user", "put a mug on the shelf"),),
            outcome=outcome,
            reward=reward,
            recall=recall.record(constitution) if recall else None,
        )


def count_words(text: str) -> int:
    return len(text.split())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """The database under `open_memory`: SQLite unless the module is one of BOTH."""
    return getattr(request, "param", "sqlite")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames and Path(metafunc.module.__file__).stem in BOTH:
        metafunc.parametrize("backend", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def open_memory(
    tmp_path: Path, clock: Clock, backend: str, request: pytest.FixtureRequest
) -> Iterator[OpenMemory]:
    opened: list[Memory] = []
    urls: dict[str, str] = {}

    def where(name: str) -> Path | str:
        if backend == "sqlite":
            return tmp_path / name
        if name not in urls:
            urls[name] = request.getfixturevalue("postgres").take()
        return urls[name]

    def open_(name: str = "memory.db", **rest: object) -> Memory:
        settings = {"encoder": HashEncoder(), "clock": clock} | rest
        memory = Memory.open(where(name), **settings)  # type: ignore[arg-type]
        opened.append(memory)
        return memory

    yield open_
    for memory in opened:
        memory.close()
    for url in urls.values():
        request.getfixturevalue("postgres").give_back(url)


@pytest.fixture
def memory(open_memory: OpenMemory) -> Memory:
    return open_memory()


@pytest.fixture
def say(memory: Memory) -> Say:
    return Say(memory)


@pytest.fixture
def say_to() -> Callable[[Memory, str], Say]:
    return Say


@pytest.fixture
def count_tokens() -> Callable[[str], int]:
    return count_words
