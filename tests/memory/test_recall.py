"""What is recalled, what is not, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import BadInput
from memory.recall.choosing import RecallSettings
from memory.types import Draft, Evidence, Item, NoteBody, ProcedureBody, Recall

Saying = Any


def fates(recall: Recall) -> dict[str, str]:
    return {hit.item.text: hit.fate for hit in recall.candidates}


def test_what_fits_the_question_comes_first(say: Saying) -> None:
    """And what has nothing to do with it is not shown."""
    say.remember(
        say.case("the mug is in cabinet 3"),
        say.case("the plate is in cabinet 3"),
        say.case("water the garden at noon"),
    )
    recall = say.recall("where is the mug")
    assert [hit.item.text for hit in recall.hits] == ["the mug is in cabinet 3"]


def test_nothing_is_shown_rather_than_something_unrelated(say: Saying) -> None:
    """Below the floor every candidate stays out, and says so."""
    say.remember(say.case("water the garden at noon"), say.case("the mug is in cabinet 3"))
    recall = say.recall("translate this contract")
    assert recall.hits == ()
    assert set(fates(recall).values()) <= {"floor"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "AND OR NOT",
        '"',
        "mug* ^ NEAR(x y)",
        "a:b",
        "日本 語",
        "'; DROP TABLE item; --",
        "\x00",
        "é" * 99,
    ],
)
def test_any_text_may_be_asked(say: Saying, text: str) -> None:
    """No question is a syntax error, for recall or for the word search."""
    say.remember(say.case("the mug is in cabinet 3"))
    assert isinstance(say.recall(text), Recall)
    assert isinstance(say.memory.items("home", words=text), tuple)


def test_a_write_is_found_at_once_and_a_forgotten_item_never(say: Saying) -> None:
    """No matter how far the index was."""
    for n in range(3):
        (item,) = say.remember(say.case(f"the mug is in cabinet {n}"))
        assert item.id in {hit.item.id for hit in say.recall("where is the mug", k=9).hits}
    say.memory.forget("home", item.id, principal="ada")
    assert item.id not in {hit.item.id for hit in say.recall("where is the mug", k=9).candidates}


@pytest.mark.parametrize("status", ["draft", "quarantined", "retired"])
def test_only_items_on_trial_or_in_force_are_found(say: Saying, status: Any) -> None:
    """Taken back into force, an item is found again."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    change = {"principal": "ada", "channel": "operator"}
    say.memory.edit("home", item.id, status=status, **change)
    assert say.recall("mug").candidates == ()
    say.memory.edit("home", item.id, status="trial", **change)
    assert [hit.item.id for hit in say.recall("mug").hits] == [item.id]


def test_a_changed_text_is_found_by_its_new_words(say: Saying) -> None:
    """And no longer by the old ones."""
    (item,) = say.remember(say.case("the mug is in cabinet 3"))
    say.memory.edit("home", item.id, text="the kettle is on the stove", principal="ada", channel="user")
    assert [hit.item.version for hit in say.recall("kettle").hits] == [2]
    assert say.recall("mug cabinet").hits == ()
    assert say.memory.items("home", words="kettle stove") != ()
    assert say.memory.items("home", words="mug") == ()


def test_family_items_are_for_their_family(say: Saying) -> None:
    """Items of the namespace are for all; a question without a family sees only those."""
    say.remember(
        say.case("the mug is in cabinet 1"),
        say.case("the mug is in cabinet 2", family="maple 7"),
        say.case("the mug is in cabinet 3", family="oak 2"),
    )

    def found(family: str | None) -> set[str]:
        return {hit.item.text[-1] for hit in say.recall("mug", family=family).candidates}

    assert found("maple 7") == {"1", "2"}
    assert found("oak 2") == {"1", "3"}
    assert found("elm 4") == found(None) == {"1"}


def test_only_the_kinds_asked_for_are_found(say: Saying) -> None:
    """Cases, procedures and tool notes by default; a principle never slips in among them."""
    steps = ProcedureBody("mug", "wash", (), ("fill the sink",))
    say.remember(
        say.case("wash the mug"),
        say.principle("wash the mug"),
        Draft("procedure", "wash the mug", steps),
        Draft("profile", "wash the mug", NoteBody("ada", "tidy")),
    )
    assert {hit.item.kind for hit in say.recall("wash the mug").hits} == {"case", "procedure"}
    assert {hit.item.kind for hit in say.recall("wash the mug", kinds=("profile",)).hits} == {"profile"}


def test_a_failure_without_a_cause_is_never_shown(say: Saying) -> None:
    """With a cause it is."""
    say.remember(
        say.case("heat the mug in the oven", outcome="failure"),
        say.case("heat the mug on the stove", outcome="failure", cause="the stove is broken"),
    )
    assert fates(say.recall("heat the mug")) == {
        "heat the mug in the oven": "status",
        "heat the mug on the stove": "kept",
    }


def test_failures_are_at_most_half(say: Saying) -> None:
    """Others of k are kept for what worked."""
    say.remember(
        *(say.case(f"heat the mug {n}", outcome="failure", cause=f"cause {n}") for n in range(4)),
        say.case("heat the mug 9"),
    )
    recall = say.recall("heat the mug", k=4)
    outcomes = [hit.item.outcome for hit in recall.hits]
    assert sorted(map(str, outcomes)) == ["failure", "failure", "success"]
    assert list(fates(recall).values()).count("cap") == 2


def test_items_are_shown_only_while_they_are_valid(say: Saying, clock: Any) -> None:
    """From the moment of writing until `valid_to`."""
    say.remember(say.case("the mug is in cabinet 3", valid_to=1_100.0))
    assert len(say.recall("mug").hits) == 1
    assert len(say.recall("mug", at=1_099.0).hits) == 1
    assert say.recall("mug", at=999.0).hits == ()
    clock.now = 1_100.0
    assert fates(say.recall("mug")) == {"the mug is in cabinet 3": "status"}


def test_a_tasks_own_cases_can_be_left_out(say: Saying) -> None:
    """So that a benchmark does not find its own answer."""
    say.memory.record(say.episode("e1", task_id="t1"), principal="ada")
    say.memory.record(say.episode("e2", task_id="t2"), principal="ada")
    say.remember(
        say.case("the mug is in cabinet 3", evidence=(Evidence("e1", 0),)),
        say.case("the mug is in cabinet 4", evidence=(Evidence("e2", 0),)),
    )
    assert [hit.item.text[-1] for hit in say.recall("mug", exclude_task="t1").hits] == ["4"]


def test_near_duplicates_are_shown_once(open_memory: Any, say_to: Any) -> None:
    """Two texts for the same memory that were admitted while the first was out of sight."""
    say = say_to(open_memory())
    (first,) = say.remember(say.case("mug in the cabinet 3", lesson="look there"))
    change = {"principal": "ada", "channel": "operator"}
    say.memory.edit("home", first.id, status="retired", **change)
    say.remember(say.case("a mug is in cabinet 3", lesson="look there"))
    say.memory.edit("home", first.id, status="active", **change)
    assert sorted(fates(say.recall("mug cabinet 3")).values()) == ["duplicate", "kept"]


def test_the_token_budget_is_kept(say: Saying) -> None:
    """An item that does not fit is passed over; a shorter one after it may still come in."""
    say.remember(
        say.case("the mug is in cabinet 3", lesson="word " * 50),
        say.case("the mug is near cabinet 4 somewhere there"),
    )
    recall = say.recall("the mug is in cabinet 3", token_budget=20)
    assert list(fates(recall).values()) == ["budget", "kept"]
    assert sum(hit.tokens for hit in recall.hits) <= 20


def test_what_worked_is_preferred_among_equals(say: Saying) -> None:
    """Utility decides between equally similar items; an unused one is taken for average."""
    items = say.remember(*(say.case(f"the mug is in cabinet {n}") for n in (1, 2, 3)))
    good, bad = items[0], items[1]
    for n in range(6):
        recall = say.recall("where is the mug", k=9)
        for item, outcome in ((good, "success"), (bad, "failure")):
            only = replace(recall, candidates=tuple(h for h in recall.candidates if h.item.id == item.id))
            say.memory.reinforce(say.episode(f"{outcome}-{n}", only, outcome=outcome), principal="ada")
    hits = say.recall("where is the mug").hits
    assert [hit.item.id for hit in hits] == [good.id, items[2].id, bad.id]
    assert hits[0].score.utility > hits[1].score.utility > hits[2].score.utility


def test_usefulness_cannot_lift_what_does_not_fit(open_memory: Any, say_to: Any) -> None:
    """Only a short list of the most similar is weighed by utility, and only above the floor."""
    say = say_to(open_memory())
    fit, unfit = say.remember(say.case("the mug is in cabinet 3"), say.case("water the garden at noon"))
    recall = say.recall("garden")
    for n in range(20):
        say.memory.reinforce(say.episode(f"e{n}", recall), principal="ada")
    assert say.memory.get("home", unfit.id).utility.n == 20
    assert [hit.item.id for hit in say.recall("where is the mug").hits] == [fit.id]


def test_the_coin_holds_items_out_by_seed_and_item(say: Saying) -> None:
    """The same seed draws the same; over many seeds the share is the rate; propensities are logged."""
    say.remember(*(say.case(f"the mug is in cabinet {n}") for n in range(4)))
    n_out = 0
    for seed in range(100):
        recall = say.recall("where is the mug", drop_rate=0.25, seed=seed)
        assert recall == say.recall("where is the mug", drop_rate=0.25, seed=seed)
        drawn = [hit for hit in recall.candidates if hit.fate in {"kept", "held_out"}]
        assert {hit.propensity for hit in drawn} == {0.75}
        assert [one.shown for one in recall.record().items] == [hit.kept for hit in drawn]
        n_out += sum(hit.fate == "held_out" for hit in drawn)
    assert 70 <= n_out <= 130
    assert {hit.propensity for hit in say.recall("mug").hits} == {1.0}


words = st.sampled_from(["mug", "plate", "cabinet", "1", "2", "clean", "hot", "shelf", "garden"])
texts = st.lists(words, min_size=1, max_size=5).map(" ".join)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.lists(st.tuples(texts, st.booleans(), st.booleans()), max_size=25),
    text=texts,
    k=st.integers(1, 6),
    budget=st.integers(0, 60),
    drop_rate=st.sampled_from([0.0, 0.3]),
)
def test_recall_is_ordered_and_bounded(
    memory: Memory,
    say_to: Any,
    said: list[tuple[str, bool, bool]],
    text: str,
    k: int,
    budget: int,
    drop_rate: float,
) -> None:
    """At most k, within the budget, best first, every candidate once, every kept one over the floor."""
    say = say_to(memory, f"namespace {memory.stats().log_seq}")
    for own, failed, has_cause in said:
        outcome = "failure" if failed else "success"
        say.remember(say.case(own, outcome=outcome, cause="so" if has_cause else None))
    recall = say.recall(text, k=k, token_budget=budget, drop_rate=drop_rate)
    drawn = [hit for hit in recall.candidates if hit.fate in {"kept", "held_out"}]
    assert len(drawn) <= k
    assert sum(hit.tokens for hit in drawn) <= budget
    totals = [hit.score.total for hit in drawn]
    assert totals == sorted(totals, reverse=True)
    ids = [hit.item.id for hit in recall.candidates]
    assert len(ids) == len(set(ids))
    for hit in recall.hits:
        assert hit.score.dense is not None
        assert hit.score.dense >= HashEncoder().floor or hit.score.lexical is not None
        assert not (hit.item.outcome == "failure" and not getattr(hit.item.body, "cause", None))


def test_settings_can_be_chosen(open_memory: Any, say_to: Any) -> None:
    """A higher floor shows less; utility weight 0 is similarity alone."""
    strict = say_to(open_memory("strict.db", settings=RecallSettings(dense_floor=0.9, lexical_floor=2.0)))
    strict.remember(strict.case("the mug is in cabinet 3"))
    assert strict.recall("where is the mug").hits == ()
    assert len(strict.recall("the mug is in cabinet 3").hits) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"drop_rate": 1.0}, "drop_rate is 1.0"),
        ({"kinds": ()}, "at least one kind"),
        ({"namespace": ""}, "namespace is empty"),
    ],
)
def test_impossible_questions_are_refused(say: Saying, change: dict[str, Any], message: str) -> None:
    """Named, before anything is encoded."""
    with pytest.raises(BadInput, match=message):
        say.recall("mug", **change)


def test_an_item_page_continues_after_an_id(say: Saying) -> None:
    """Pages are in order of creation and do not overlap."""
    items = say.remember(*(say.case(f"cabinet {n} is empty") for n in range(5)))
    first = say.memory.items("home", limit=2)
    second = say.memory.items("home", limit=10, after=first[-1].id)
    assert [item.id for item in first + second] == [item.id for item in items]
    assert say.memory.items("home", kind="principle") == ()
    assert say.memory.items("home", status="active", family="x") == ()
    with pytest.raises(BadInput, match="limit of a page is 0"):
        say.memory.items("home", limit=0)
    found: tuple[Item, ...] = say.memory.items("home", words="cabinet 3")
    assert [item.text for item in found] == ["cabinet 3 is empty"]
