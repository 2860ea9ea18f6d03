"""Everything one tenant can do, call by call, with what comes of it. A call is named as in the façade."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import cast
from unittest.mock import patch

from memory.codec import dumps, from_json, to_json
from memory.constitution.versions import ConstitutionVersion
from memory.core import Memory
from memory.moving.importing import Reading
from memory.types import (
    CaseBody,
    Draft,
    Episode,
    Evidence,
    Item,
    Json,
    Lineage,
    Message,
    PrincipleBody,
    Query,
    Recall,
    RecallRecord,
    StepVerdict,
    ToolCall,
    Usage,
)
from memory.writing.credit import More
from memory.writing.forgetting import Root

GONE = {"hash", "sha256", "signature", "signer"}
POSITIONS = {"seq", "log_seq", "undo_seq"}


class Tenant:
    """One namespace, its texts, and the ids it has met. Two of the same name and texts do the same."""

    def __init__(self, memory: Memory, namespace: str, texts: Sequence[str], folder: Path) -> None:
        self.m = memory
        self.ns = namespace
        self.texts = texts
        self.folder = folder
        self.items_seen: list[Item] = []
        self.episode_seen: Episode | None = None
        self.recall_seen: Recall | None = None
        self._calls = count()

    @contextmanager
    def own_ids(self) -> Iterator[None]:
        """New ids depend on this tenant alone: ties are broken by id, so equal runs need equal ids."""
        call, numbers = next(self._calls), count()

        def urandom(n: int) -> bytes:
            return sha256(f"{self.ns}/{call}/{next(numbers)}".encode()).digest()[:n]

        with patch.object(os, "urandom", urandom):
            yield

    # Calls of the façade

    def remember(self) -> object:
        drafts = [self.case(text) for text in self.texts]
        self.items_seen += self.m.remember(self.ns, drafts, principal="ada", channel="user")
        rule = PrincipleBody("global", "operator", 2)
        principle = Draft("principle", self.texts[0], rule, lineage=Lineage((Evidence("e1", 0),)))
        keyed = self.m.remember(
            self.ns, [principle], principal="ada", channel="operator", idempotency_key="k"
        )
        again = self.m.remember(
            self.ns, [principle], principal="ada", channel="operator", idempotency_key="k"
        )
        return [self.items_seen, keyed, again]

    def recall(self) -> object:
        self.recall_seen = self.ask(self.texts[0])
        return [self.recall_seen, *(self.ask(text) for text in ("mug", "plate hot 3", *self.texts[1:]))]

    def record(self) -> object:
        assert self.recall_seen is not None
        call = ToolCall("c1", "act", {"command": f"say {self.texts[0]}"})
        said = (
            Message("user", self.texts[0]),
            Message("assistant", kind="act", tool_calls=(call,)),
            Message("tool", self.texts[-1], kind="observe", tool_call_id="c1", ok=True),
        )
        self.episode_seen = Episode(
            "e1", self.ns, "t", "t", "w", "f", "g", said, "success", 0.5, recall=self.recall_seen.record()
        )
        return self.m.record(self.episode_seen, principal="ada")

    def reinforce(self) -> object:
        assert self.episode_seen is not None
        return self.m.reinforce(self.episode_seen, principal="ada")

    def feedback(self) -> object:
        return self.m.feedback(self.ns, "e1", principal="ada", reward=1.0, values={"said": self.texts[0]})

    def judge(self) -> object:
        return self.m.judge(
            self.ns, "e1", principal="ada", verdicts=(StepVerdict(1, "ok"),), spent=Usage(5, 2)
        )

    def extend(self) -> object:
        said = Message("user", f"{self.texts[0]} after all")
        more = More((said,), Usage(3, 1))
        return self.m.extend(self.ns, "e1", lambda _kept: more, principal="ada")

    def witness(self) -> object:
        seq = self.m.witness(self.ns, {"key": "made", "for": self.texts[0]}, principal="root")
        return self.m.log(self.ns, after=seq - 1)[0].after

    def sizes(self) -> object:
        return sorted([*pair, n] for pair, n in self.m.sizes(self.ns).items())

    def fetched(self) -> object:
        return [self.m.fetched(self.ns, item.id, principal="ada") for item in self.items_seen]

    def edit(self) -> object:
        id_, text = self.items_seen[0].id, f"{self.texts[0]} again"
        return self.m.edit(self.ns, id_, text=text, principal="ada", channel="user")

    def merge(self) -> object:
        more = self.m.remember(
            self.ns,
            [self.case("mug one"), self.case("mug two and a half")],
            principal="ada",
            channel="user",
        )
        ids = [item.id for item in more]
        return self.m.merge(self.ns, ids, self.case("mugs"), principal="ada", channel="user")

    def forget(self) -> object:
        return self.m.forget(self.ns, self.items_seen[-1].id, principal="ada")

    def undo(self) -> object:
        return self.m.undo(self.ns, self.newest(self.items_seen[-1].id), principal="ada")

    def restore(self) -> object:
        log = self.m.log(self.ns)
        there = to_json(self.m.restore(self.ns, log[len(log) // 2].seq, principal="ada"))
        back = to_json(self.m.restore(self.ns, log[-1].seq, principal="ada"))
        return [there, back]

    def diff(self) -> object:
        return self.m.diff(self.ns, self.items_seen[0].id, 1, 2)

    def replay(self) -> object:
        kept = self.m.episode(self.ns, "e1").recall
        assert kept is not None
        return self.m.replay(kept, count_tokens=len)

    def get(self) -> object:
        return [self.m.get(self.ns, item.id) for item in self.items_seen]

    def items(self) -> object:
        every = self.m.items(self.ns, limit=1000)
        pages = [self.m.items(self.ns, limit=2, after=item.id) for item in every]
        found = [self.m.items(self.ns, words=text, limit=1000) for text in ("mug", *self.texts)]
        return [
            every,
            pages,
            found,
            self.m.items(self.ns, kind="principle"),
            self.m.items(self.ns, family="f"),
        ]

    def history(self) -> object:
        return [self.m.history(self.ns, item.id) for item in self.items_seen]

    def episode(self) -> object:
        return self.m.episode(self.ns, "e1")

    def episodes(self) -> object:
        return [
            self.m.episodes(self.ns),
            self.m.episodes(self.ns, task_id="t"),
            self.m.episodes(self.ns, family="f"),
        ]

    def log(self) -> object:
        return self.m.log(self.ns)

    def constitution(self) -> object:
        return self.m.constitution(self.ns, None, token_budget=40, count_tokens=len, every_family=True)

    def review(self) -> object:
        rule = PrincipleBody("global", "symbolic", 2)
        draft = Draft("principle", f"{self.texts[0]} rule", rule, status="trial")
        (made,) = self.m.remember(self.ns, [draft], principal="ada", channel="reflection")
        shown = self.m.constitution(self.ns, None, token_budget=999, count_tokens=len)
        assert self.episode_seen is not None
        assert self.recall_seen is not None
        told = replace(self.episode_seen, id="e9", recall=self.recall_seen.record(shown))
        self.m.record(told, principal="ada")
        evidence = Lineage((Evidence("e1", 0), Evidence("e9", 0)))
        self.m.edit(self.ns, made.id, lineage=evidence, principal="ada", channel="user")
        self.m.reinforce(told, principal="ada")
        return self.m.review(self.ns)

    def constitution_versions(self) -> object:
        return self._by_rank(self.m.constitution_versions(self.ns))

    def freeze(self) -> object:
        return self._by_rank([self.m.freeze(self.ns, principal="ada")])

    def frozen(self) -> object:
        kept = next(one for one in self.m.constitution_versions(self.ns) if one.frozen)
        shown = self.m.frozen(self.ns, kept.id, token_budget=999, count_tokens=len)
        return replace(shown, version="")

    def compare(self) -> object:
        newest, *_, oldest = self.m.constitution_versions(self.ns)
        return self.m.compare(self.ns, oldest.id, newest.id)

    def roll_back(self) -> object:
        oldest = self.m.constitution_versions(self.ns)[-1]
        return self.m.roll_back(self.ns, oldest.id, principal="root")

    def export_constitution(self) -> object:
        folder = self.m.export_constitution(self.ns, self.folder.with_name(f"{self.folder.name}-rules"))
        lines = (folder / "items.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def turn(self) -> object:
        return self.m.turn(self.ns, "mode", "shadow", principal="root", channel="operator")

    def policies(self) -> object:
        return self.m.policies(self.ns)

    def dials(self) -> object:
        return self.m.dials(self.ns)

    def pulse(self) -> object:
        return self.m.pulse(self.ns, since=0.0)

    def export(self) -> object:
        self.m.export(self.ns, self.folder)
        files = [self.folder / name for name in ("items.jsonl", "episodes.jsonl")]
        lines = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
        return [lines, sha256((self.folder / "vectors.npy").read_bytes()).hexdigest()]

    def import_(self) -> object:
        return self.m.import_(self.ns, self.folder, principal="root", channel="operator")

    def import_episodes(self) -> object:
        said = [{"role": "user", "content": text} for text in self.texts]
        line = dumps({"messages": [*said, {"role": "assistant", "content": self.texts[0]}]})
        how = Reading("openai")
        return self.m.import_episodes(self.ns, line.encode(), how, principal="root", channel="operator")

    def paid(self) -> object:
        found = self.m.paid(self.ns, "f", self.texts[0])
        assert found
        return found

    def walked(self) -> object:
        known = self.m.walked(self.ns, "f")
        return [to_json(known.acts), known.states.tolist()]

    def lifts(self) -> object:
        return self.m.lifts(self.ns)

    def usage(self) -> object:
        return self.m.usage(self.ns)

    def consolidate(self) -> object:
        proposed = self.m.consolidate(self.ns, dry_run=True)
        return [to_json(proposed), to_json(self.m.consolidate(self.ns))]

    def forget_all(self) -> object:
        root = Root("item", self.items_seen[0].id)
        there = to_json(self.m.forget_all(self.ns, root, principal="root", dry_run=True))
        return [there, to_json(self.m.forget_all(self.ns, root, principal="root"))]

    def revoke(self) -> object:
        drafts = [
            replace(self.case(f"{text} on paper"), lineage=Lineage(source="paper")) for text in self.texts
        ]
        self.m.remember(self.ns, drafts, principal="ada", channel="user")
        return self.m.revoke(self.ns, "paper", principal="root")

    def erase(self) -> object:
        return self.m.erase(self.ns, Root("episode", "e1"), principal="root")

    # What it is made of

    def case(self, text: str) -> Draft:
        evidence = Lineage((Evidence("e1", 0),))
        return Draft("case", text, CaseBody(text, (), text), outcome="success", lineage=evidence)

    def ask(self, text: str) -> Recall:
        query = Query(self.ns, text, kinds=("case", "principle"), k=20, token_budget=10**6)
        return self.m.recall(query, count_tokens=len)

    def _by_rank(self, versions: Sequence[ConstitutionVersion]) -> object:
        """With ids, which name log positions, as ranks."""
        ranks = {one.id: rank for rank, one in enumerate(self.m.constitution_versions(self.ns)[::-1])}
        return [
            {
                **cast(dict[str, Json], to_json(one)),
                "id": ranks[one.id],
                "parent": ranks.get(one.parent or ""),
            }
            for one in versions
        ]

    def newest(self, item_id: str) -> int:
        ops = [entry for entry in self.m.history(self.ns, item_id) if entry.op != "reinforce"]
        return ops[-1].seq

    def called(self, name: str) -> Json:
        """What a call answered, as plain data."""
        with self.own_ids():
            call: Callable[[], object] = getattr(self, name)
            return to_json(call())

    def view(self) -> Json:
        """All that it can read."""
        return [self.called(name) for name in ("items", "episodes", "log", "constitution", "history")]


ORDER = (
    *("remember", "recall", "record", "reinforce", "feedback", "judge", "extend"),
    *("fetched", "edit", "merge", "forget", "undo", "restore", "witness", "sizes"),
    *("diff", "replay", "get", "items", "history", "episode", "episodes", "log", "constitution", "export"),
    *("review", "constitution_versions", "freeze", "frozen", "compare", "roll_back", "export_constitution"),
    *("turn", "dials", "pulse", "lifts", "policies", "paid", "walked"),
    *("import_", "import_episodes", "usage", "consolidate", "forget_all", "revoke", "erase"),
)
"""Every call that names a namespace, as one tenant's day."""

OVER_ALL = {
    "open": "makes the memory",
    "close": "ends it",
    "snapshot": "saves what is in SQL already",
    "stats": "sizes over all namespaces, for health and metrics; shown to operators alone",
    "backup": "a copy of the whole file, for operators alone",
    "check": "names broken items by id over all namespaces, for operators alone",
    "verify_log": "one chain runs over all namespaces; answers a position, for operators alone",
    "reencode": "gives vectors to every namespace's items, says how many",
    "reencode_in_background": "likewise",
    "namespaces": "names them all, for the server's own jobs and for operators",
    "signer": "the public key of the whole data folder",
}
"""Calls that know no namespace, and what they say of all."""


def placed(data: Json, ranks: dict[int, int]) -> Json:
    """Log positions as the rank among the tenant's own; hashes, which run over all tenants, left out."""
    if isinstance(data, list):
        return [placed(one, ranks) for one in data]
    if not isinstance(data, dict):
        return "bundle" if isinstance(data, str) and data.startswith("bundle:") else data
    return {key: _placed(key, value, ranks) for key, value in data.items() if key not in GONE}


def _placed(key: str, value: Json, ranks: dict[int, int]) -> Json:
    if key in POSITIONS and isinstance(value, int):
        return ranks.get(value, -1)
    if key == "rows" and isinstance(value, list):
        return [_placed("seq", one, ranks) for one in value]
    return placed(value, ranks)


def ranks_of(memory: Memory, namespace: str) -> dict[int, int]:
    """Log positions of a namespace by rank."""
    return {entry.seq: rank for rank, entry in enumerate(memory.log(namespace, limit=100_000))}


def stolen(record: RecallRecord, namespace: str) -> RecallRecord:
    """Another tenant's record, asked for in one's own name and words."""
    return replace(record, query=replace(record.query, namespace=namespace, text="mug plate"))


def as_own(data: Json, namespace: str) -> Episode:
    """Another tenant's episode, told in one's own name."""
    return replace(from_json(Episode, data), namespace=namespace)
