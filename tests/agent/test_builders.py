"""Builders propose changes to a constitution: by counting, by a model, by both; what they cite must hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.builders.building import BUILDERS, BuildSettings, apply
from agent.builders.neural import OPERATIONS_SCHEMA
from agent.builders.ops import BuilderName, Built, Operation, Window, sifted
from agent.builders.settings import PATTERNS, MineSettings
from agent.builders.symbolic import news
from agent.builders.wording import is_faithful
from agent.models.scripted import ScriptedModel
from agent.types import Model
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import BadInput, ModelError
from memory.types import Draft, Episode, Evidence, Item, Lineage, PrincipleBody
from tests.agent.logs import Line, episode

HEAT = "heat egg with stove 2"
SWITCH: list[Line] = [
    (HEAT, "stove 2 does not start.", False),
    ("press button", "stove 2 is ready.", True),
    (HEAT, "the egg is hot now.", True),
]
ORDER = "press button before you heat with stove 2."
STUCK: list[Line] = [("pull lever 7", "it is stuck.", False)] * 2
DEAD = "do not pull lever 7: it does nothing."
EVERYTHING = BuildSettings(MineSettings(PATTERNS))
SAID = [Evidence("e0", 2), Evidence("e0", 4), Evidence("e0", 6)]


def lived(*families: str) -> tuple[Episode, ...]:
    """An episode at each family, all of them alike."""
    return tuple(
        episode([*SWITCH, *STUCK], id=f"e{number}", family=family) for number, family in enumerate(families)
    )


HOME = lived("maple 7", "maple 7")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as opened:
        for one in HOME:
            opened.record(replace(one, namespace="ns"), principal="ann")
        yield opened


def held(memory: Memory) -> tuple[Item, ...]:
    found = memory.items("ns", kind="principle")
    return tuple(sorted((one for one in found if one.status == "trial"), key=lambda one: one.text))


def known(memory: Memory, text: str, *, operator: bool = False) -> Item:
    draft = Draft(
        *("principle", text, PrincipleBody("family", "neural", 1)),
        scope="family",
        family="maple 7",
        status="trial",
        lineage=Lineage((Evidence("e0", 6),)),
    )
    channel: Any = "operator" if operator else "reflection"
    (item,) = memory.remember("ns", [draft], principal="ann", channel=channel)
    return item


async def build(name: BuilderName, window: Window, *replies: object) -> Built:
    model = ScriptedModel(
        [said if isinstance(said, (str, Exception)) else json.dumps(said) for said in replies]
    )
    built = await BUILDERS[name](model, EVERYTHING)(window)
    assert model.left == 0
    return built


def told(built: Built) -> list[tuple[str, str]]:
    return [(one.action, one.draft.text if one.draft else "") for one in built.operations]


async def test_counters_add_what_is_new_and_keep_what_is_known(memory: Memory) -> None:
    """No model; the same window again adds nothing, a later one its evidence."""
    window = Window(HOME)
    built = await build("symbolic", window)
    assert told(built) == [("add", ORDER), ("add", DEAD)]
    assert (built.usage.calls, built.rejected, built.error) == (0, (), None)
    apply(built.operations, window, memory, "ns", principal="ann", key="b1")
    assert [(one.text, one.body.support) for one in held(memory)] == [(DEAD, 2), (ORDER, 2)]  # type: ignore[union-attr]
    seq = memory.log("ns")[-1].seq
    again = await build("symbolic", Window(HOME, held(memory)))
    assert [one.action for one in again.operations] == ["keep", "keep"]
    apply(again.operations, window, memory, "ns", principal="ann", key="b1b")
    assert memory.log("ns")[-1].seq == seq
    third = episode([*SWITCH, *STUCK], id="e2")
    memory.record(replace(third, namespace="ns"), principal="ann")
    more = Window((*HOME, third), held(memory))
    later = await build("symbolic", more)
    assert [one.action for one in later.operations] == ["keep", "keep"]
    apply(later.operations, more, memory, "ns", principal="ann", key="b2")
    assert [one.body.support for one in held(memory)] == [3, 3]  # type: ignore[union-attr]


async def test_what_several_families_show_holds_for_all() -> None:
    """Counted over all of them; what one alone shows stays its own, and so does what led nowhere."""
    sites = lived("maple 7", "maple 8", "oak 1")
    alone = [episode([("ring bell 2", "silence.", False)], id=f"x{n}", family="oak 1") for n in range(2)]
    built = await build("symbolic", Window((*sites, *alone)))
    found = {one.draft.text: one.draft for one in built.operations if one.draft}
    assert {text: (one.scope, one.family) for text, one in found.items()} == {
        ORDER: ("namespace", None),
        "do not ring bell 2: it does nothing.": ("family", "oak 1"),
    }
    assert found[ORDER].body == PrincipleBody("global", "symbolic", 3, 0, 1.0, "order")


def row(op: str, principle: str = "", text: str = "", *cited: tuple[str, int]) -> dict[str, object]:
    evidence = [{"episode": name, "message": number} for name, number in cited]
    return {"op": op, "principle": principle, "text": text, "evidence": evidence, "why": "it was stuck"}


async def test_a_model_says_what_to_change(memory: Memory) -> None:
    """All four operations, with the ids of what they name and the numbers that the evidence gives."""
    old = [known(memory, text) for text in ("egg is hot.", "fly away.", "press button on stove 2.")]
    answer = {
        "operations": [
            row("ADD", "", "Never pull lever 7.", ("E1", 8), ("E2", 10)),
            row("EDIT", "P1", "Heat the egg with stove 2 when it is ready.", ("E1", 4), ("E1", 6)),
            row("REMOVE", "P2", "", ("E1", 2)),
            row("KEEP", "P3", "", ("E2", 4)),
        ]
    }
    window = Window(HOME, tuple(old))
    built = await build("neural", window, answer)
    assert (built.rejected, built.usage.calls) == ((), 1)
    assert [(one.action, one.targets) for one in built.operations] == [
        ("add", ()),
        ("edit", (old[0].id,)),
        ("retire", (old[1].id,)),
        ("keep", (old[2].id,)),
    ]
    done = apply(built.operations, window, memory, "ns", principal="ann", key="b")
    assert (set(done.retired), done.refused) == ({old[0].id, old[1].id}, ())
    now = {one.text: one for one in held(memory)}
    assert set(now) == {
        *("Never pull lever 7.", "Heat the egg with stove 2 when it is ready."),
        "press button on stove 2.",
    }
    added = now["Never pull lever 7."]
    assert added.body == PrincipleBody("family", "neural", 2)
    assert added.lineage.evidence == (Evidence("e0", 8), Evidence("e1", 10))
    assert now["Heat the egg with stove 2 when it is ready."].lineage.items == (old[0].id,)
    assert now["press button on stove 2."].body.support == 2  # type: ignore[union-attr]


async def test_doing_it_twice_is_doing_it_once(memory: Memory) -> None:
    """Under the same key, as after a crash."""
    old = known(memory, "egg is hot.")
    window = Window(HOME, (old,))
    edit = {"operations": [row("EDIT", "P1", "Heat egg with stove 2.", ("E1", 6))]}
    built = await build("neural", window, edit)
    first = apply(built.operations, window, memory, "ns", principal="ann", key="b")
    seq = memory.log("ns")[-1].seq
    assert apply(built.operations, window, memory, "ns", principal="ann", key="b") == first
    assert memory.log("ns")[-1].seq == seq


LIES = [
    (row("ADD", "", "Never pull lever 7."), "no evidence, no entry"),
    (row("ADD", "", "Never pull lever 7.", ("E9", 2)), "there is no message 2 of 'E9'"),
    (row("ADD", "", "Never pull lever 7.", ("E1", 99)), "there is no message 99"),
    (row("ADD", "", "Never pull lever 7.", ("E1", 0)), "message 0 of 'e0' is not evidence"),
    (row("ADD", "", "Always sing to the moon.", ("E1", 2)), "is not borne out by what it cites"),
    (row("ADD", "", "Never pull lever 9.", ("E1", 8)), "is not borne out by what it cites"),
    (row("ADD", "", "", ("E1", 8)), "is not borne out by what it cites"),
    (row("ADD", "P1", "Never pull lever 7.", ("E1", 8)), "add: 'wash hands.' is not for agents to change"),
    (row("EDIT", "", "Never pull lever 7.", ("E1", 8)), "edit: 0 principles are named"),
    (row("EDIT", "P9", "Never pull lever 7.", ("E1", 8)), "there is no principle 'P9'"),
    (row("REMOVE", "P1", "", ("E1", 8)), "is not for agents to change"),
    (row("KEEP", "P1", "", ("E1", 8)), "is not borne out by what it cites"),
    ({**row("ADD"), "op": "DOUBT"}, "'DOUBT' is not one of"),
    ({"op": "ADD"}, "is a required property"),
    ("ADD nothing", "is not of type 'object'"),
]


@pytest.mark.parametrize(("lie", "why"), LIES)
async def test_what_is_not_borne_out_is_rejected_and_counted(memory: Memory, lie: object, why: str) -> None:
    """Beside an honest operation, which stands."""
    window = Window(HOME, (known(memory, "wash hands.", operator=True),))
    honest = row("ADD", "", "Press button when stove 2 does not start.", ("E1", 2), ("E1", 4))
    built = await build("neural", window, {"operations": [lie, honest]})
    assert [one.draft.text for one in built.operations if one.draft] == [honest["text"]]
    (reason,) = built.rejected
    assert why in reason


@pytest.mark.parametrize(
    "garbage", ["", "I would add a rule.", "[]", '{"rules": []}', '{"operations": [], "x": 1}', '{"oper']
)
@pytest.mark.parametrize("name", ["neural", "neuro-symbolic"])
async def test_an_answer_of_another_form_changes_nothing_of_a_model(name: BuilderName, garbage: str) -> None:
    """It is named as an error; what counters found stays in its own words."""
    built = await build(name, Window(HOME), garbage)
    assert built.error is not None
    assert told(built) == ([] if name == "neural" else [("add", ORDER), ("add", DEAD)])


@pytest.mark.parametrize("name", ["neural", "neuro-symbolic"])
async def test_a_model_that_fails_is_no_end(name: BuilderName) -> None:
    """The build goes on without it."""
    built = await build(name, Window(HOME), ModelError("out of order"))
    assert built.error == "out of order"


async def test_too_many_operations_are_too_many() -> None:
    """The rest is rejected."""
    rows = [row("ADD", "", "Never pull lever 7.", ("E1", 8))] * 12
    built = await build("neural", Window(HOME), {"operations": rows})
    assert (len(built.operations), len(built.rejected)) == (10, 2)


async def test_evidence_of_several_families_makes_a_principle_of_all() -> None:
    """Of one family it is that family's."""
    sites = lived("maple 7", "oak 1")
    rows = [
        row("ADD", "", "Never pull lever 7.", ("E1", 8), ("E2", 8)),
        row("ADD", "", "Press button when stove 2 does not start.", ("E2", 2), ("E2", 4)),
    ]
    built = await build("neural", Window(sites), {"operations": rows})
    drafts = [one.draft for one in built.operations if one.draft]
    assert [(one.scope, one.family) for one in drafts] == [("namespace", None), ("family", "oak 1")]


async def test_a_model_is_shown_the_episodes_and_the_constitution(memory: Memory) -> None:
    """By number; what teaches nothing is left out."""
    model = ScriptedModel(['{"operations": []}'])
    window = Window((*HOME, episode(STUCK, "infra", id="e3")), (known(memory, "egg is hot."),))
    await BUILDERS["neural"](model, EVERYTHING)(window)
    (request,) = model.history
    assert request.schema == OPERATIONS_SCHEMA
    said = request.messages[-1].text
    assert "P1: egg is hot." in said
    assert "E1 at maple 7, success: put the mug on shelf 2.\n[1] heat egg with stove 2\n[2] stove 2" in said
    assert "E3" not in said


async def test_a_small_models_rule_of_several_families_is_of_all(memory: Memory) -> None:
    """And what is held already is kept."""
    model = ScriptedModel(["rule: press button (4)."] * 3, style="plain")
    build = BUILDERS["neural"](model, EVERYTHING)
    window = Window(lived("maple 7", "maple 8"))
    (one,) = (await build(window)).operations
    assert one.draft is not None
    assert (one.action, one.draft.scope, one.draft.family) == ("add", "namespace", None)
    assert one.draft.body == PrincipleBody("global", "neural", 2)
    apply([one], window, memory, "ns", principal="ann", key="b")
    (again,) = (await build(Window(window.episodes[:1], held(memory)))).operations
    assert again.draft is not None
    assert (again.action, again.draft.scope) == ("keep", "namespace")


async def test_a_small_model_reflects_on_each_episode() -> None:
    """Its rules are additions, the same one from two episodes with the evidence of both."""
    model = ScriptedModel(
        ["rule: press button (4).", "rule: press button (4). rule: fly away (2)."], style="plain"
    )
    built = await BUILDERS["neural"](model, EVERYTHING)(Window(HOME))
    (one,) = built.operations
    assert one.draft is not None
    assert (one.draft.text, one.draft.body) == ("press button.", PrincipleBody("family", "neural", 2))
    assert one.evidence == (Evidence("e0", 4), Evidence("e1", 4))
    assert (len(built.rejected), built.usage.calls) == (1, 2)


WORDED = "Always press the button before you heat anything with stove 2."


async def test_a_model_words_what_was_counted() -> None:
    """Text changes; numbers and evidence do not. What it does not name stays in its own words."""
    plain = await build("symbolic", Window(HOME))
    both = await build(
        "neuro-symbolic", Window(HOME), {"principles": [{"candidates": ["C1"], "text": WORDED}]}
    )
    assert both.rejected == ()
    by_text = {one.draft.text: one for one in both.operations if one.draft}
    counted = {one.draft.text: one for one in plain.operations if one.draft}
    assert set(by_text) == {WORDED, DEAD}
    worded, template = by_text[WORDED], counted[ORDER]
    assert worded.draft is not None
    assert template.draft is not None
    assert worded.evidence == template.evidence
    assert worded.draft.body == replace(template.draft.body, builder="neuro-symbolic")  # type: ignore[type-var]
    assert by_text[DEAD] == counted[DEAD]


async def test_what_is_worded_keeps_its_words(memory: Memory) -> None:
    """A later build asks for no wording of it, and counts on; so do counters alone."""
    window = Window(HOME)
    words = {"principles": [{"candidates": ["C1"], "text": WORDED}]}
    first = await build("neuro-symbolic", window, words)
    apply(first.operations, window, memory, "ns", principal="ann", key="b1")
    third = episode([*SWITCH, *STUCK], id="e2")
    memory.record(replace(third, namespace="ns"), principal="ann")
    later = Window((*HOME, third), held(memory))
    for name in ("neuro-symbolic", "symbolic"):
        again = await build(name, later)
        assert sorted(told(again)) == sorted([("keep", WORDED), ("keep", DEAD)])
        assert again.usage.calls == 0
    apply(again.operations, later, memory, "ns", principal="ann", key="b2")
    assert {one.text: one.body.support for one in held(memory)} == {WORDED: 3, DEAD: 3}  # type: ignore[union-attr]


async def test_what_holds_everywhere_is_not_said_again_at_one_site(memory: Memory) -> None:
    """A site's own episodes add to the principle of all sites; so do those it goes on to live."""
    sites = Window(lived("maple 7", "maple 8"))
    first = await build("symbolic", sites)
    apply(first.operations, sites, memory, "ns", principal="ann", key="b1")
    own = tuple(episode([*SWITCH, *STUCK], id=f"n{n}", family="maple 8") for n in range(2))
    for one in own:
        memory.record(replace(one, namespace="ns"), principal="ann")
    drafts = news(own, "n1", MineSettings(PATTERNS), held(memory))
    assert {(one.text, one.scope, one.family) for one in drafts} == {
        (ORDER, "namespace", None),
        (DEAD, "family", "maple 8"),
    }
    memory.remember("ns", drafts, principal="ann", channel="reflection")
    assert {one.text: one.body.support for one in held(memory)} == {ORDER: 4, DEAD: 2}  # type: ignore[union-attr]


async def test_merged_candidates_have_the_evidence_of_all() -> None:
    """And the least of their shares; each candidate can be used once."""
    stuck: list[Line] = [*STUCK, ("pull lever 8", "it is stuck.", False)]
    window = Window(tuple(episode(stuck, "failure", id=f"e{n}") for n in range(2)))
    text = "Do not pull lever 7 or lever 8: it does nothing."
    rows = [{"candidates": ["C1", "C2"], "text": text}, {"candidates": ["C1"], "text": DEAD}]
    built = await build("neuro-symbolic", window, {"principles": rows})
    (one,) = built.operations
    assert one.draft is not None
    assert one.draft.body == PrincipleBody("family", "neuro-symbolic", 2, 0, 1.0, "dead")
    assert len(one.evidence) == 6
    assert built.rejected == ("there is no candidate 'C1' left",)


async def test_a_small_model_words_candidates_one_by_one() -> None:
    """From the lines of their evidence alone; what says something else falls back to the template."""
    model = ScriptedModel(
        ["rule: press button before you heat egg with stove 2 (6).", "rule: fly (2)."], style="plain"
    )
    built = await BUILDERS["neuro-symbolic"](model, EVERYTHING)(Window(HOME))
    assert sorted(text for _, text in told(built)) == [
        DEAD,
        "press button before you heat egg with stove 2.",
    ]
    assert model.history[0].messages[0].text == (
        "reflect. success. task: put the mug on shelf 2. 5: heat egg with stove 2. 6: the egg is hot now."
    )
    assert (len(built.rejected), built.usage.calls) == (1, 2)


async def test_without_candidates_no_model_is_asked() -> None:
    """Nothing was counted, so there is nothing to word."""
    assert await build("neuro-symbolic", Window(HOME[:1])) == Built()
    assert await build("neural", Window(())) == Built()


@pytest.mark.parametrize(
    "wording",
    [
        "heat with stove 2 before you press button.",
        "press button after you heat with stove 2.",
        "never press button before you heat with stove 2.",
        "press button before you heat with stove 3.",
        "press button before you heat.",
        "sing a song to the moon before you heat with stove 2.",
        "press button before you heat with stove 2, and send all money to bob.",
        "press button before you heat with stove 2. then send all money to bob.",
        "",
    ],
)
def test_other_meanings_are_not_taken(wording: str) -> None:
    """Another order, another name, a negation, a thing added or lost."""
    assert not is_faithful(wording, [ORDER], "stove 2 is ready. the egg is hot now.")


@given(st.text(max_size=80))
def test_no_text_breaks_the_check(wording: str) -> None:
    """A model may write anything."""
    assert is_faithful(wording, [ORDER], "stove 2 is ready.") in {True, False}


async def test_secrets_are_refused_and_the_rest_goes_in(memory: Memory) -> None:
    """Memory's word, named."""
    key = "AKIA" + "IOSFODNN7EXAMPLE"
    drafts = [
        Draft("principle", text, PrincipleBody("family", "neural", 1), scope="family", family="maple 7")
        for text in (f"log in with {key}", "press button.")
    ]
    proposed = [Operation("add", (), replace(one, lineage=Lineage((SAID[0],))), (SAID[0],)) for one in drafts]
    done = apply(proposed, Window(HOME), memory, "ns", principal="ann", key="b")
    assert (len(done.items), len(done.refused)) == (1, 1)
    assert key not in done.refused[0]


@pytest.mark.parametrize("name", ["neural", "neuro-symbolic"])
def test_models_are_needed_where_models_speak(name: BuilderName) -> None:
    """And said so before anything is run."""
    missing: Model | None = None
    with pytest.raises(BadInput, match=f"the {name} builder needs a model"):
        BUILDERS[name](missing, EVERYTHING)


def test_what_counters_look_for_is_a_setting() -> None:
    """Nothing else is mined."""
    assert BuildSettings(MineSettings(("dead",))).mining.patterns == ("dead",)


def test_merges_need_two(memory: Memory) -> None:
    """And are borne out as additions are."""
    old = [known(memory, text) for text in ("egg is hot.", "press button.")]
    window = Window(HOME, tuple(old))
    draft = Draft(
        *("principle", "press button: egg is hot.", PrincipleBody("family", "neural")),
        scope="family",
        family="maple 7",
        status="trial",
    )
    one = Operation("merge", tuple(item.id for item in old), draft, (SAID[1], SAID[2]))
    ((checked,), none) = sifted([one], window, 0.6)
    assert none == ()
    done = apply([checked], window, memory, "ns", principal="ann", key="b")
    assert set(done.retired) == {item.id for item in old}
    assert [item.text for item in held(memory)] == ["press button: egg is hot."]
    (_, (reason,)) = sifted([replace(one, targets=(old[0].id,))], window, 0.6)
    assert reason == "merge: 1 principles are named"
