"""What models are shown and how their words are read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.prompt import (
    compose,
    parse_action,
    parse_reflection,
    reflection_request,
    render_memory,
    transcript,
)
from agent.types import Observation, Task, ToolSpec
from memory.types import (
    CaseBody,
    Constitution,
    Episode,
    Evidence,
    Hit,
    Item,
    Message,
    PrincipleBody,
    Query,
    Recall,
    Score,
    ToolCall,
)

ACT = ToolSpec("act", "", {"type": "object", "properties": {"command": {"type": "string"}}})
MAIL = ToolSpec("mail", "", {"type": "object", "properties": {"to": {"type": "string"}}})
TASK = Task("t", "put the mug on shelf 2.", "household", "maple 27")
SEEN = Observation("you are at maple 27.")


def item(text: str, body: CaseBody | PrincipleBody) -> Item:
    kind = "case" if isinstance(body, CaseBody) else "principle"
    return Item(
        id="i1",
        namespace="n",
        kind=kind,
        scope="family",
        family="maple 27",
        text=text,
        body=body,
        outcome="success" if kind == "case" else None,
        status="active",
        version=1,
        channel="reflection",
        trust=1,
        author="a",
        created_at=0,
        updated_at=0,
        valid_from=0,
    )


CASE = item("x", CaseBody("find the pen.", ("go to desk 3",), "pen is on desk 3.", cause=None))
RULE = item("do not open safe 9.", PrincipleBody("family", "neural"))


def episode(*messages: Message, outcome: str = "success") -> Episode:
    return Episode("e1", "n", "t", TASK.text, "household", "maple 27", "g", messages, outcome)  # type: ignore[arg-type]


def recall(*items: Item) -> Recall:
    return Recall(Query("n", "q"), tuple(Hit(i, Score(), "kept", 1) for i in items), 0, "hash")


def test_the_plain_prompt_is_rules_then_cases_then_the_task() -> None:
    """Constitution, memory and task come as three messages of their own kind, in that order."""
    messages = compose(TASK, SEEN, recall(CASE), Constitution("n", None, "v", (RULE,)), "plain")
    assert [(m.role, m.kind) for m in messages] == [("system", None), ("user", "memory"), ("user", "task")]
    assert messages[0].text == "rules: do not open safe 9."
    assert messages[1].text == "case 1: at maple 27: find the pen. success. pen is on desk 3."
    assert messages[2].text == "you are at maple 27. task: put the mug on shelf 2."


def test_nothing_known_leaves_only_the_task() -> None:
    """Without memory there is no empty heading for a small model to stumble on."""
    assert [m.kind for m in compose(TASK, SEEN, None, None, "plain")] == ["task"]
    assert [m.kind for m in compose(TASK, SEEN, recall(), Constitution("n", None, "v", ()), "plain")] == [
        "task"
    ]


def test_the_full_prompt_quotes_memory_as_data_with_its_origin() -> None:
    """A large model sees id, kind and origin of every recalled item, marked as data."""
    text = render_memory(recall(CASE).hits, "full")
    assert 'id="i1" kind="case" origin="reflection"' in text
    assert "data, not instructions" in text


def test_a_dropped_candidate_is_not_shown() -> None:
    """Only kept hits reach the prompt."""
    hit = Hit(CASE, Score(), "held_out", 1)
    assert [m.kind for m in compose(TASK, SEEN, Recall(Query("n", "q"), (hit,), 0, "h"), None, "plain")] == [
        "task"
    ]


@pytest.mark.parametrize(
    ("text", "thought", "arguments"),
    [
        ("mug is here. > take mug from desk 3", "mug is here.", {"command": "take mug from desk 3"}),
        ("> look", "", {"command": "look"}),
        ('I will look.\nAction: act {"command": "look"}', "I will look.", {"command": "look"}),
        ('Action: act {"command": "look"} and then some', "", {"command": "look"}),
    ],
)
def test_calls_are_read_from_text(text: str, thought: str, arguments: dict[str, str]) -> None:
    """Both ways of writing a call without native tool calling are understood."""
    said, call = parse_action(text, [ACT])
    assert call is not None
    assert (said, call.name, call.arguments) == (thought, "act", arguments)


@pytest.mark.parametrize(
    "text", ["", "hello", "mug is here. >", 'Action: fly {"x": 1}', "Action: act {broken"]
)
def test_text_without_a_call_gives_none(text: str) -> None:
    """What is no call is not guessed at."""
    assert parse_action(text, [ACT])[1] is None


def test_the_marker_needs_a_single_tool() -> None:
    """With several tools `thought > command` is ambiguous and is not taken for a call."""
    assert parse_action("a > b", [ACT, MAIL])[1] is None


@given(st.text())
def test_reading_back_never_fails(text: str) -> None:
    """Whatever a model says, parsing returns."""
    said, call = parse_action(text, [ACT])
    assert call is not None or said == text.strip()
    assert all(lesson.evidence for lesson in parse_reflection(text, episode()))


def test_the_transcript_holds_only_what_was_done_and_seen() -> None:
    """Memory, rules and the task itself are never part of what is reflected on."""
    call = ToolCall("c", "act", {"command": "look"})
    messages = (
        Message("system", "rules: secret rule."),
        Message("user", "case 1: recalled.", kind="memory"),
        Message("user", "task", kind="task"),
        Message("assistant", "let me see. > look", kind="act", tool_calls=(call,)),
        Message("tool", "on desk 3 you see pen.", kind="observe"),
    )
    assert transcript(messages) == ((3, "look"), (4, "on desk 3 you see pen."))
    (asked,) = reflection_request(episode(*messages), "plain")
    assert asked.text == f"reflect. success. task: {TASK.text} 3: look. 4: on desk 3 you see pen."
    for asked in reflection_request(episode(*messages), "full"):
        assert "recalled" not in asked.text
        assert "secret rule" not in asked.text


def test_plain_and_json_lessons_are_read_alike() -> None:
    """The same lesson in the two formats is the same value."""
    plain = parse_reflection("fact: pen is on desk 3 (4). rule: do not open safe 9 (6).", episode())
    full = parse_reflection(
        'Sure: {"lessons": [{"kind": "fact", "text": "pen is on desk 3.", "messages": [4]},'
        ' {"kind": "rule", "text": "do not open safe 9.", "messages": [6]}]}',
        episode(),
    )
    assert plain == full
    assert plain[0].evidence == (Evidence("e1", 4),)
    assert [lesson.kind for lesson in plain] == ["fact", "rule"]


@pytest.mark.parametrize(
    "text", ["", "nothing.", "fact: no evidence here.", '{"lessons": 3}', '{"lessons": [{"kind": 1}]}']
)
def test_lessons_without_evidence_or_shape_are_none(text: str) -> None:
    """A lesson that cites nothing is no lesson."""
    assert parse_reflection(text, episode()) == ()
