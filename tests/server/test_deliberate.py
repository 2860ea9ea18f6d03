"""Settings that make tasks think twice, and runs that are trusted by what their answers lead to."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agent.automaton.speaking import read_protocol
from agent.critics.consistency import Fitted, save
from agent.models.scripted import FunctionModel
from memory.errors import BadInput
from memory.types import Message, ToolCall
from server.wiring import build
from tests.server.test_checks import client_of, do, settings


def clerk(messages: tuple[Message, ...]) -> Message:
    """Gives up and, looking again, does not; makes questions and plans of what it did."""
    told = messages[-1].text
    if "Look at your answer again" in told:
        return Message("assistant", "It was pressed.")
    if "different questions" in told:
        return Message("assistant", json.dumps({"questions": ["press it?", "and again?"]}))
    if "Which of these tools" in told:
        plan = [{"tool": "press", "arguments": {"button": "red"}}]
        return Message("assistant", json.dumps({"calls": plan}))
    if not messages[0].text.startswith("You are an agent"):
        return Message("assistant", "B" if "Which one is right?" in told else '{"lessons": []}')
    if messages[-1].role == "tool":
        return Message("assistant", "", tool_calls=(ToolCall("x", "finish", {"answer": "I gave up."}),))
    return Message("assistant", "", tool_calls=(ToolCall("x", "press", {"button": "red"}),))


def answer_of(episode: dict[str, Any]) -> str:
    said = [message for message in episode["messages"] if message["role"] == "assistant"][-1]
    return str(said["content"] or said["tool_calls"][-1]["arguments"]["answer"])


def test_a_task_thinks_twice_about_its_answer_where_the_operator_wants_it(tmp_path: Path) -> None:
    """Off by default; the price is on the episode."""
    models = {"presser": FunctionModel(clerk, name="presser")}
    with client_of(settings(tmp_path / "a"), models) as client:
        once = do(client, memory="off")
    with client_of(settings(tmp_path / "b", deliberate="rewrite"), models) as client:
        twice = do(client, memory="off")
    assert [answer_of(one) for one in (once, twice)] == ["I gave up.", "It was pressed."]
    assert [one["usage"]["calls"] for one in (once, twice)] == [2, 5]


def test_a_task_says_for_itself_whether_it_thinks_twice(tmp_path: Path) -> None:
    """Against the server's setting, both ways; what is no way to is told with those that are."""
    models = {"presser": FunctionModel(clerk, name="presser")}
    with client_of(settings(tmp_path / "a"), models) as client:
        assert answer_of(do(client, memory="off", deliberate="rewrite")) == "It was pressed."
        body = {"world": "tools", "text": "press the button"}
        for name, said in (
            ("twice", "off, rewrite, choose, gvr, debate, tests"),
            ("panel", "apprentice figure"),
        ):
            refused = client.post("/v1/tasks", json={**body, "deliberate": name})
            assert (refused.status_code, said in refused.json()["error"]["message"]) == (422, True)
    with client_of(settings(tmp_path / "b", deliberate="rewrite"), models) as client:
        assert answer_of(do(client, memory="off", deliberate="off")) == "I gave up."


def talker(messages: tuple[Message, ...]) -> Message:
    """Errs, sees it when asked to look again, and calls what it is told to call."""
    told = messages[-1].text
    if "Look at your answer again" in told:
        return Message("assistant", "9 is right.")
    if "Which one is right?" in told:
        return Message("assistant", "B")
    if told == "press":
        return Message("assistant", "", tool_calls=(ToolCall("x", "press", {"button": "red"}),))
    return Message("assistant", "8 is right.")


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_thinks_twice_where_its_header_says_so(tmp_path: Path, stream: bool) -> None:
    """What calls the client's tools is passed on; what is no way to think is refused."""
    models = {"presser": FunctionModel(talker, name="presser")}
    tool = {"type": "function", "function": {"name": "press", "parameters": {"type": "object"}}}
    with client_of(settings(tmp_path, deliberate="rewrite"), models) as client:

        def said(words: str, how: str | None) -> str:
            headers = {"X-Apprentice-Memory": "off"} | ({"X-Apprentice-Deliberate": how} if how else {})
            asked = [{"role": "user", "content": words}]
            body = {"messages": asked, "tools": [tool], "stream": stream}
            answer = client.post("/v1/chat/completions", json=body, headers=headers).text
            return "".join(re.findall(r'"content":"(.*?)"', answer)) if how in {None, "rewrite"} else answer

        assert "8 is right." in said("3 times 3?", None)
        assert "9 is right." in said("3 times 3?", "rewrite")
        assert said("press", "rewrite") == ""
        assert "there is no way to deliberate called 'twice'" in said("3 times 3?", "twice")


PROTOCOL = "start: claim\nclaim: because\nbecause: because | so\nso: end\n"


def debtor(messages: tuple[Message, ...]) -> Message:
    """Answers in no order at all; goes on with what was begun, and decides for the last choice."""
    last = messages[-1]
    if last.text.startswith("Claim:") or last.role == "tool":
        if last.role == "tool":
            return Message("assistant", "It works. So: nothing.")
        opened = last.text.splitlines()[-1]
        if not opened.endswith(":"):
            return Message("assistant", "So:")
        return Message("assistant", f"{opened.rstrip(':').lower()} it is.\nSo: never mind")
    return Message("assistant", "", tool_calls=(ToolCall("x", "press", {"button": "red"}),))


def test_an_answer_is_laid_out_as_the_operator_or_the_task_has_it(tmp_path: Path) -> None:
    """Segment by segment, what may follow forced or chosen; off by default."""
    models = {"presser": FunctionModel(debtor, name="presser")}
    (tmp_path / "form.txt").write_text(PROTOCOL)
    with client_of(settings(tmp_path / "a"), models) as client:
        free = do(client, memory="off")
        held = do(client, memory="off", speaking=PROTOCOL)
        for text, wrong in (
            ("start: claim |", "line 1"),
            ("start: a\na: a", "no trace fulfils"),
            ("eventually so", "rules of succession"),
        ):
            body = {"world": "tools", "text": "press the button", "speaking": text}
            refused = client.post("/v1/tasks", json=body)
            assert (refused.status_code, wrong in refused.json()["error"]["message"]) == (422, True)
    with client_of(settings(tmp_path / "b", speaking=tmp_path / "form.txt"), models) as client:
        always = do(client, memory="off")
    whole = "Claim: claim it is.\nBecause: because it is.\nSo: so it is."
    assert [answer_of(one) for one in (free, held, always)] == ["It works. So: nothing.", whole, whole]
    assert held["usage"]["calls"] == free["usage"]["calls"] + 4


def test_a_form_that_cannot_be_kept_is_named_before_anything_is_opened(tmp_path: Path) -> None:
    """With its file."""
    (tmp_path / "form.txt").write_text("start: a\na: a")
    with pytest.raises(BadInput, match=r"form\.txt.*no trace fulfils"):
        read_protocol(tmp_path / "form.txt")


def test_a_verifier_may_look_at_what_an_answer_leads_to(tmp_path: Path) -> None:
    """By the rule, or by a classifier that was fitted for this encoder."""
    models = {"presser": FunctionModel(clerk, name="presser")}
    sceptic = Fitted((0.0,) * 5, (1.0,) * 5, (0.0,) * 5, -3.0, "hash-1024-1")
    save(sceptic, tmp_path / "c")
    fixed = {"verify": True, "verifier": "presser", "verify_by": "consistency"}
    with client_of(settings(tmp_path / "a", **fixed), models) as client:
        trusted = do(client, memory="off")
    with client_of(settings(tmp_path / "b", consistency=tmp_path / "c", **fixed), models) as client:
        doubted = do(client, memory="off")
    assert (trusted["outcome"], trusted["outcome_by"]) == ("success", "judge")
    assert trusted["feedback"]["verification"]["features"]["exact"] == 1.0
    assert doubted["outcome"] == "unknown"


def test_consistency_needs_a_model_to_ask(tmp_path: Path) -> None:
    """Named before anything is opened."""
    with pytest.raises(BadInput, match="name one as verifier"):
        build(settings(tmp_path, verify=True, verify_by="consistency"))
