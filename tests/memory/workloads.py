"""What a process is doing when it is killed: steps one after another, or a crowd of threads."""

from __future__ import annotations

import json
import lzma
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from threading import Thread
from unittest.mock import patch

from memory.codec import to_json
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.index import shelves
from memory.index.segments import Sizes
from memory.recall.choosing import RecallSettings
from memory.types import CaseBody, Draft, Episode, Evidence, Item, Lineage, Message, PrincipleBody, Query
from memory.writing.forgetting import Root

RELEASE = Path(__file__).parent / "data" / "release-0.1.db.xz"
DIM = 64
EVERYTHING = RecallSettings(pool=100_000)
KINDS = ("case", "principle", "procedure", "tool_note", "tool", "flow", "policy", "safety", "profile")

SMALL = Sizes(large=5, merge=1, share=0.01)

Say = Callable[..., None]
"""Tells, past any kill, that something has begun or was acknowledged."""
Step = Callable[[Memory, Path], object]


def scratch(name: str) -> Path:
    """A new folder, in memory where there is such a place: a kill leaves it as it leaves a disk."""
    memory = Path("/dev/shm")
    return Path(mkdtemp(prefix=f"{name}-", dir=memory if os.access(memory, os.W_OK) else None))


def opened(
    folder: Path, dim: int = DIM, *, in_background: bool = False, clock: Callable[[], float] = lambda: 2e9
) -> Memory:
    """A memory whose indexes go to disk from a few rows on.

    Its clock stands still: two runs of the same steps leave the same rows.
    """
    with patch.object(shelves, "Sizes", lambda: SMALL):
        memory = Memory.open(folder / "memory.db", encoder=HashEncoder(dim), clock=clock, settings=EVERYTHING)
    if not in_background:
        kept = memory._generations.present.shelves
        assert isinstance(kept, shelves.Shelves)
        kept._upkeep.close()
    return memory


def case(text: str, *evidence: str, family: str | None = None) -> Draft:
    """A case that says a text."""
    return Draft(
        "case",
        text,
        CaseBody(text, (), text),
        scope="family" if family else "namespace",
        family=family,
        outcome="success",
        lineage=Lineage(tuple(Evidence(one, 0) for one in evidence)),
    )


def remember(
    memory: Memory, *drafts: Draft, namespace: str = "home", key: str | None = None
) -> tuple[Item, ...]:
    """As a user."""
    return memory.remember(namespace, drafts, principal="ada", channel="user", idempotency_key=key)


def ask(memory: Memory, text: str, namespace: str = "home", k: int = 4) -> Query:
    """A question for anything at all."""
    return Query(namespace, text, kinds=KINDS, k=k, token_budget=10**9)  # type: ignore[arg-type]


def attempt(memory: Memory, id_: str, text: str, reward: float = 1.0) -> Episode:
    """An episode that was shown what recall found."""
    recall = memory.recall(ask(memory, text), count_tokens=len)
    said = (Message("user", text), Message("assistant", "done"))
    return Episode(
        id_, "home", f"task {text}", text, "w", "f", "g", said, "success", reward, recall=recall.record()
    )


# Steps


@dataclass(frozen=True)
class Steps:
    """Something to prepare, then steps of which each is there whole or not at all."""

    prepare: Callable[[Path], None]
    steps: tuple[Step, ...]
    dim: int = DIM
    is_resumed: bool = False
    """A step may be there in part; taking it again leads to where it would have led."""
    is_lying: bool = False
    """Acknowledges before the step: what the proofs must catch."""

    def run(self, folder: Path, say: Say) -> None:
        """All of them, telling of each that returned."""
        certain_ids(1_000_000)
        memory = opened(folder, self.dim)
        say(ready=True)
        for step in self.steps:
            if self.is_lying:
                say(done=True)
            step(memory, folder)
            if not self.is_lying:
                say(done=True)
        memory.close()


def certain_ids(first: int) -> None:
    """From here on `uuid4` gives the same ids in every run."""
    numbers = count(first)
    os.urandom = lambda n: next(numbers).to_bytes(n, "big")


def furnish(folder: Path) -> None:
    """Some items, episodes and credits in two namespaces, a snapshot and a bundle."""
    certain_ids(1)
    with opened(folder) as memory:
        for n in range(6):
            remember(memory, case(f"the mug of table {n} is in cabinet {n}", f"e{n}"))
        remember(memory, case("the fridge hums at night", family="maple 7"), namespace="work")
        for n in range(3):
            memory.record(attempt(memory, f"e{n}", f"mug of table {n}"), principal="ada")
            memory.reinforce(memory.episode("home", f"e{n}"), principal="ada")
        memory.export("home", folder / "bundle")


def aged(folder: Path) -> None:
    """The same with edits, retirements, feedback and a source that can be revoked."""
    furnish(folder)
    certain_ids(1_000)
    with opened(folder) as memory:
        first, second, *_ = memory.items("home")
        memory.edit("home", first.id, text="the mug has gone to the sink", principal="ada", channel="user")
        memory.forget("home", second.id, principal="ada")
        memory.feedback("home", "e0", principal="ada", reward=0.0)
        draft = replace(case("the paper says cups"), lineage=Lineage(source="paper"))
        (item,) = remember(memory, draft)
        remember(memory, replace(case("so cups it is"), lineage=Lineage(items=(item.id,))))


def alike(folder: Path) -> None:
    """Items that say nearly the same."""
    certain_ids(1)
    with opened(folder) as memory:
        for n in range(3):
            for words in ("{} mug is in the cabinet by the door", "{} mug is in the cabinet by the door now"):
                draft = case(words.format(["a red", "one blue", "some green"][n]))
                same = CaseBody("find it", ("look", "take", "go"), f"lesson {n}")
                remember(memory, replace(draft, body=same))


def empty(folder: Path) -> None:
    """Nothing."""


def unpack(folder: Path) -> None:
    """The first release's file."""
    with lzma.open(RELEASE) as packed, (folder / "memory.db").open("wb") as file:
        shutil.copyfileobj(packed, file)


def _rule(memory: Memory, folder: Path) -> None:
    rule = PrincipleBody("global", "neural", 1)
    draft = Draft("principle", "close the fridge door", rule, lineage=Lineage((Evidence("e1", 0),)))
    memory.remember("home", [draft], principal="ada", channel="reflection")


def _edit(memory: Memory, folder: Path, **change: str) -> None:
    item = memory.items("home")[1]
    memory.edit("home", item.id, principal="ada", channel="user", **change)  # type: ignore[arg-type]


def _undo(memory: Memory, folder: Path) -> None:
    newest = [entry for entry in memory.log("home") if entry.item and entry.op in {"edit", "retire"}]
    memory.undo("home", newest[-1].seq, principal="ada")


def _unmerge(memory: Memory, folder: Path) -> None:
    newest = [entry for entry in memory.log("home") if entry.op == "merge"]
    memory.undo("home", newest[-1].seq, principal="ada")


def _episode(memory: Memory, folder: Path) -> None:
    memory.record(attempt(memory, "late", "where is the mug"), principal="ada")


DAILY: tuple[Step, ...] = (
    lambda memory, _: remember(memory, case("the kettle is hot")),
    lambda memory, _: remember(memory, *(case(f"plate {n} is blue") for n in range(3)), key="k1"),
    lambda memory, _: remember(memory, case("the kettle is hot", "e2")),
    partial(_edit, text="the mug of table 1 has gone to the sink"),
    _rule,
    _episode,
    lambda memory, _: memory.reinforce(memory.episode("home", "late"), principal="ada"),
    lambda memory, _: memory.feedback("home", "late", principal="ada", reward=0.25, values={"kind": True}),
    lambda memory, _: memory.snapshot(),
    lambda memory, _: memory.forget("home", memory.items("home")[0].id, principal="ada"),
    _undo,
    partial(_edit, status="quarantined"),
    partial(_edit, status="active"),
    lambda memory, _: memory.recall(ask(memory, "mug"), count_tokens=len),
    lambda memory, folder: memory.export("home", folder / "out"),
    lambda memory, folder: memory.backup(folder / "backup.db"),
)

STEPS = {
    "first start": Steps(empty, (lambda memory, _: remember(memory, case("the first thing")),)),
    "daily": Steps(furnish, DAILY),
    "snapshots": Steps(
        furnish,
        tuple(
            step
            for n in range(3)
            for step in (
                lambda memory, _, n=n: remember(memory, case(f"saved in round {n}")),
                lambda memory, _: memory.recall(ask(memory, "mug"), count_tokens=len),
                lambda memory, _: memory.snapshot(),
            )
        ),
    ),
    "migration": Steps(unpack, ()),
    "import": Steps(
        furnish,
        (
            lambda memory, folder: memory.import_(
                "new", folder / "bundle", principal="root", channel="operator"
            ),
        ),
        is_resumed=True,
    ),
    "restore": Steps(
        aged,
        (
            lambda memory, _: memory.restore("home", 4, principal="root"),
            lambda memory, _: memory.restore("home", 20, principal="root"),
        ),
    ),
    "forget": Steps(
        aged,
        (
            lambda memory, _: memory.forget_all("home", Root("episode", "e1"), principal="root"),
            lambda memory, _: memory.revoke("home", "paper", principal="root"),
        ),
    ),
    "erase": Steps(
        aged,
        (
            lambda memory, _: memory.erase(
                "home", Root("item", memory.items("home")[1].id), principal="root"
            ),
            lambda memory, _: memory.erase("home", Root("episode", "e2"), principal="root"),
        ),
    ),
    "merge": Steps(
        aged,
        (
            lambda memory, _: memory.merge(
                "home",
                [item.id for item in memory.items("home")[3:5]],
                case("both mugs are in cabinets"),
                principal="ada",
                channel="user",
            ),
            _unmerge,
        ),
    ),
    "consolidate": Steps(alike, (lambda memory, _: memory.consolidate("home"),), is_resumed=True),
    "reencode": Steps(furnish, (lambda memory, _: memory.reencode(),), dim=128, is_resumed=True),
}


LIAR = Steps(furnish, (lambda memory, _: remember(memory, case("told before it was kept")),), is_lying=True)


# A crowd


def crowd(folder: Path, say: Say, seed: int) -> None:
    """Three writers, one reader and one who saves the index, all at once; the index is mended beside them."""
    memory = opened(folder, in_background=True)
    jobs: Sequence[Callable[[], None]] = (
        *(partial(_write, memory, say, f"{seed}-{thread}") for thread in range(3)),
        partial(_read, memory),
        partial(_save, memory),
    )
    threads = [Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    memory.close()


def _write(memory: Memory, say: Say, name: str) -> None:
    chance, own = random.Random(name), list[Item]()
    for n in range(12):
        choice = chance.choice(["one", "one", "batch", "edit", "forget", "attempt"])
        if choice in {"edit", "forget"} and own:
            _change(memory, say, own, choice, chance)
        elif choice == "attempt":
            _attempt(memory, say, f"{name}-{n}", chance)
        else:
            drafts = [case(f"{name} saw mug {n} {part}") for part in range(3 if choice == "batch" else 1)]
            say(begun=[draft.text for draft in drafts])
            items = remember(memory, *drafts, key=f"key {name} {n}")
            say(items=[to_json(item) for item in items], key=f"key {name} {n}")
            own.extend(items)


def _change(memory: Memory, say: Say, own: list[Item], choice: str, chance: random.Random) -> None:
    item = own.pop(chance.randrange(len(own)))
    if choice == "forget":
        item = memory.forget("home", item.id, principal="ada")
    else:
        text = f"{item.text} and more"
        item = memory.edit("home", item.id, text=text, principal="ada", channel="user")
        own.append(item)
    say(items=[to_json(item)])


def _attempt(memory: Memory, say: Say, name: str, chance: random.Random) -> None:
    episode = attempt(memory, name, f"mug {chance.randrange(9)}", chance.choice([0.0, 0.5, 1.0]))
    memory.record(episode, principal="ada")
    say(episode=name)
    memory.reinforce(episode, principal="ada")
    say(credited=name)
    if chance.random() < 0.5:
        memory.feedback("home", name, principal="ada", values={"seen": name})
        say(feedback=name)


def _read(memory: Memory) -> None:
    for n in range(25):
        memory.recall(ask(memory, f"mug {n}"), count_tokens=len)


def _save(memory: Memory) -> None:
    for _ in range(3):
        memory.snapshot()


def told(path: Path) -> list[dict[str, object]]:
    """What was told before the kill; a line cut short was not told."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]
