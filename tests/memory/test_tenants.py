"""No call returns, changes, counts or ranks anything differently because of what another namespace holds.

The one exception is the namespace `*`, whose items of scope `global` are everybody's.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.codec import dumps
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import ApprenticeError, OverQuota
from memory.types import Draft, Json, Lineage
from memory.writing.credit import More
from memory.writing.forgetting import Root
from memory.writing.limits import Limits
from tests.memory.tenants import ORDER, OVER_ALL, Tenant, as_own, placed, ranks_of, stolen
from tests.memory.workloads import scratch

SECRET = "zebra"
WORDS = ["mug", "plate", "kettle", "hot", "3", "7"]
texts = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
    min_size=2,
    max_size=5,
    unique=True,
)


@contextmanager
def fresh() -> Iterator[tuple[Memory, Path]]:
    root = scratch("tenants")
    memory = Memory.open(root / "memory.db", encoder=HashEncoder(64), clock=lambda: 1_000.0)
    try:
        yield memory, root
    finally:
        memory.close()
        shutil.rmtree(root)


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def day_of(tenant: Tenant, beside: Tenant | None) -> list[Json]:
    """All of a tenant's calls; before each, another tenant makes the same call."""
    said = []
    for name in ORDER:
        if beside is not None:
            beside.called(name)
        said.append(tenant.called(name))
    ranks = ranks_of(tenant.m, tenant.ns)
    return [placed(one, ranks) for one in [*said, tenant.view()]]


@pytest.fixture(scope="module")
def warm() -> None:
    """What is loaded at its first use draws random bytes of its own: not between two days to be compared."""
    with fresh() as (memory, root):
        day_of(Tenant(memory, "here", ["mug", "plate 3"], root / "bundle"), None)


def test_every_call_has_a_case() -> None:
    """A new call of the façade is a case here, or a reason why it knows no namespace."""
    assert public(Memory) == {*ORDER, *OVER_ALL}


@pytest.mark.usefixtures("warm")
@settings(max_examples=3, derandomize=True)
@given(own=texts, foreign=texts)
def test_a_tenants_day_is_the_same_alone_and_beside_another(own: list[str], foreign: list[str]) -> None:
    """Down to every score, count, order and id; and nothing the other said is ever heard."""
    with fresh() as (memory, root):
        alone = day_of(Tenant(memory, "here", own, root / "bundle"), None)
    with fresh() as (memory, root):
        # Some of the other's texts are the tenant's own, so that something could merge or be outranked.
        other = Tenant(memory, "there", [*own[:1], *(f"{SECRET} {text}" for text in foreign)], root / "other")
        together = day_of(Tenant(memory, "here", own, root / "bundle"), other)
        assert SECRET in dumps(other.view())
    for name, one, both in zip([*ORDER, "view"], alone, together, strict=True):
        assert both == one, name
        assert SECRET not in dumps(both)
        assert "there" not in dumps(both)


@pytest.mark.usefixtures("warm")
@settings(max_examples=3, derandomize=True)
@given(own=texts, foreign=texts)
def test_what_a_tenant_does_changes_nothing_elsewhere(own: list[str], foreign: list[str]) -> None:
    """The other's items, episodes, history, constitution and recall stay as they were."""
    with fresh() as (memory, root):
        other = Tenant(memory, "there", foreign, root / "other")
        day_of(other, None)
        before = [other.view(), other.called("recall")]
        day_of(Tenant(memory, "here", own, root / "bundle"), None)
        assert [other.view(), other.called("recall")] == before


def test_budgets_are_each_tenants_own() -> None:
    """One that has used up its own takes nothing from another, though the same principal writes both."""
    root = scratch("tenants")
    limits = Limits(max_living=3, writes_per_minute=4)
    memory = Memory.open(root / "memory.db", encoder=HashEncoder(64), clock=lambda: 1_000.0, limits=limits)
    for namespace in ("there", "here"):
        tenant = Tenant(memory, namespace, ["mug", "plate", "kettle"], root / "bundle")
        items = memory.remember(
            namespace, [tenant.case(text) for text in tenant.texts], principal="ada", channel="user"
        )
        assert (len(items), memory.usage(namespace).living) == (3, 3)
        with pytest.raises(OverQuota, match=namespace):
            memory.remember(namespace, [tenant.case("one more")], principal="ada", channel="user")
    memory.close()
    shutil.rmtree(root)


# Another tenant's names

NAMING = {
    "item_id",
    "episode_id",
    "ids",
    "seq",
    "after",
    "record",
    "episode",
    "drafts",
    "root",
    "source",
    "version",
}
"""Parameters through which one could name what is not one's own."""

Theft = Callable[[Tenant, Tenant], object]


def _draft_of(item_id: str, tenant: Tenant) -> Draft:
    return Draft("case", "x", tenant.case("x").body, outcome="success", lineage=Lineage(items=(item_id,)))


def version_of(tenant: Tenant) -> str:
    return tenant.m.constitution_versions(tenant.ns)[0].id


NOTHING = More(())

THEFTS: dict[str, Theft] = {
    "get": lambda me, it: me.m.get(me.ns, it.items_seen[0].id),
    "history": lambda me, it: me.m.history(me.ns, it.items_seen[0].id),
    "diff": lambda me, it: me.m.diff(me.ns, it.items_seen[0].id, 1, 2),
    "items": lambda me, it: me.m.items(me.ns, after=it.items_seen[0].id),
    "episode": lambda me, it: me.m.episode(me.ns, "of the other"),
    "episodes": lambda me, it: me.m.episodes(me.ns, after="of the other"),
    "compare": lambda me, it: me.m.compare(me.ns, version_of(it), version_of(it)),
    "frozen": lambda me, it: me.m.frozen(me.ns, version_of(it), token_budget=9, count_tokens=len),
    "roll_back": lambda me, it: me.m.roll_back(me.ns, version_of(it), principal="eve"),
    "edit": lambda me, it: me.m.edit(
        me.ns, it.items_seen[0].id, text="x", lineage=Lineage(), principal="eve", channel="operator"
    ),
    "merge": lambda me, it: me.m.merge(
        me.ns,
        [item.id for item in it.items_seen[:2]],
        me.case("x"),
        principal="eve",
        channel="operator",
    ),
    "forget": lambda me, it: me.m.forget(me.ns, it.items_seen[0].id, principal="eve"),
    "forget_all": lambda me, it: me.m.forget_all(me.ns, Root("item", it.items_seen[0].id), principal="eve"),
    "erase": lambda me, it: me.m.erase(me.ns, Root("episode", "of the other"), principal="eve"),
    "revoke": lambda me, it: me.m.revoke(me.ns, "a paper of the other", principal="eve"),
    "undo": lambda me, it: me.m.undo(me.ns, it.newest(it.items_seen[0].id), principal="eve"),
    "judge": lambda me, it: me.m.judge(me.ns, "of the other", principal="eve"),
    "feedback": lambda me, it: me.m.feedback(me.ns, "of the other", principal="eve", reward=0.0),
    "extend": lambda me, it: me.m.extend(me.ns, "of the other", lambda _kept: NOTHING, principal="eve"),
    "remember": lambda me, it: me.m.remember(
        me.ns, [_draft_of(it.items_seen[0].id, me)], principal="eve", channel="operator"
    ),
}
"""Naming what is not one's own is refused."""

HARMLESS: dict[str, Theft] = {
    "fetched": lambda me, it: me.m.fetched(me.ns, it.items_seen[0].id, principal="eve"),
    "log": lambda me, it: me.m.log(me.ns, after=it.m.log(it.ns)[0].seq),
    "restore": lambda me, it: me.m.restore(me.ns, me.m.log(me.ns)[-1].seq - 1, principal="eve"),
    "record": lambda me, it: me.m.record(as_own(it.called("episode"), me.ns), principal="eve"),
    "reinforce": lambda me, it: me.m.reinforce(as_own(it.called("episode"), me.ns), principal="eve"),
    "replay": lambda me, it: me.m.replay(stolen(it.recall_seen.record(), me.ns), count_tokens=len),  # type: ignore[union-attr]
}
"""Naming what is not one's own finds and changes nothing."""


@pytest.fixture
def two() -> Iterator[tuple[Tenant, Tenant]]:
    with fresh() as (memory, root):
        it = Tenant(memory, "there", [f"{SECRET} mug", f"{SECRET} plate 3"], root / "other")
        me = Tenant(memory, "here", ["mug 7", "plate"], root / "bundle")
        for tenant in (it, me):
            for name in ("remember", "recall", "record", "reinforce", "edit"):
                tenant.called(name)
        assert it.episode_seen is not None
        memory.record(replace(it.episode_seen, id="of the other"), principal="ada")
        paper = replace(it.case(f"{SECRET} on paper"), lineage=Lineage(source="a paper of the other"))
        memory.remember(it.ns, [paper], principal="ada", channel="user")
        yield me, it


def test_every_call_that_can_name_something_is_tried() -> None:
    """A parameter that takes a name of something has a theft here."""
    naming = {
        name
        for name in public(Memory) - OVER_ALL.keys()
        if NAMING & set(inspect.signature(getattr(Memory, name)).parameters)
    }
    assert naming == {*THEFTS, *HARMLESS}


@pytest.mark.parametrize("name", sorted(THEFTS))
def test_anothers_names_are_refused(two: tuple[Tenant, Tenant], name: str) -> None:
    """As if they did not exist; nobody's things change."""
    me, it = two
    before = [me.view(), it.view()]
    with pytest.raises(ApprenticeError) as error:
        THEFTS[name](me, it)
    assert SECRET not in str(error.value)
    assert [me.view(), it.view()] == before


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_anothers_names_find_nothing(two: tuple[Tenant, Tenant], name: str) -> None:
    """Nothing of the other's is answered, and nothing of it changes."""
    me, it = two
    before = it.view()
    try:
        answer = dumps(HARMLESS[name](me, it))
    except ApprenticeError as error:
        answer = str(error)
    assert SECRET not in answer
    assert it.view() == before
