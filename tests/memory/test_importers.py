"""What other systems recorded: read as they documented it, marked with where it came from, never twice."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.author import Author
from memory.core import Memory
from memory.errors import BadInput, Denied
from memory.moving.importers.formats import FORMATS, importer
from memory.moving.importers.records import Attempt, Found
from memory.moving.importing import Reading, take_log
from memory.moving.intake import ImportReport, Refused
from memory.types import CaseBody, Draft, Image, Item, NoteBody, Text, ToolBody, ToolCall

CALL = {"id": "c1", "type": "function", "function": {"name": "open", "arguments": '{"place": "fridge"}'}}
CHAT = [
    {"role": "developer", "content": "you are a robot in a kitchen"},
    {"role": "user", "content": [{"type": "text", "text": "find "}, {"type": "text", "text": "the mug"}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "weight": 1},
    {"role": "tool", "tool_call_id": "c1", "content": "a mug lies there"},
    {"role": "assistant", "content": "it is in the fridge", "weight": 0},
]


def lines(*records: object) -> bytes:
    return b"\n".join(
        record if isinstance(record, bytes) else json.dumps(record).encode() for record in records
    )


def read(name: str, data: bytes) -> list[Any]:
    """What is found, by place; what is refused as its reason."""
    return [one.thing if isinstance(one, Found) else one.reason for one in importer(name)(data)]


def taken(memory: Memory, name: str, data: bytes, **rest: Any) -> ImportReport:
    how = Reading(name, rest.pop("family", None), rest.pop("outcome", "unknown"))
    who = {"principal": "ada", "channel": "user"} | rest
    return memory.import_episodes("home", data, how, **who)


def test_openai_chats_keep_roles_calls_and_weights() -> None:
    """Every message in order; the task is what the user says, never the system prompt."""
    (attempt,) = read("openai", lines({"messages": CHAT, "tools": []}))
    assert (attempt.task, attempt.outcome, attempt.world) == ("find the mug", "unknown", "chat")
    assert [message.role for message in attempt.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert [message.kind for message in attempt.messages] == [None, "task", "act", "observe", "answer"]
    assert attempt.messages[2].tool_calls == (ToolCall("c1", "open", {"place": "fridge"}),)
    assert [message.weight for message in attempt.messages] == [None, None, 1.0, None, 0.0]
    assert attempt.messages[3].tool_call_id == "c1"
    assert attempt.actions == ('open({"place":"fridge"})',)


def test_openai_reads_older_calls_images_and_arguments_that_are_no_object() -> None:
    """Nothing that was said is lost."""
    image = {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}}
    chat = [
        {"role": "user", "content": [{"type": "text", "text": "look"}, image]},
        {"role": "assistant", "function_call": {"name": "zoom", "arguments": "in, twice"}},
        {"role": "assistant", "content": None, "refusal": "I cannot"},
    ]
    (attempt,) = read("openai", lines({"messages": chat, "model": "m"}))
    assert attempt.messages[0].content == (Text("look"), Image("https://x.test/a.png", "low"))
    assert attempt.messages[1].tool_calls == (ToolCall("call-1", "zoom", {"input": "in, twice"}),)
    assert (attempt.messages[2].text, attempt.model) == ("I cannot", "m")


def test_a_bad_line_is_named_and_the_others_are_read() -> None:
    """By its number in the file, blank lines counted."""
    bad: list[Any] = [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        ([], "no JSON object"),
        ({"prompt": "x"}, "no `messages`"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "nobody answers"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "message 0: the role 'robot'"),
        ({"messages": [{"role": "system", "content": "x"}, {"role": "assistant"}]}, "there is no task"),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "'audio' cannot be kept"),
    ]
    data = lines({"messages": CHAT}, b"", *(record for record, _ in bad), {"messages": CHAT})
    found = list(importer("openai")(data))
    assert [one.line for one in found] == [1, *range(3, 3 + len(bad)), 3 + len(bad)]
    for one, (_, reason) in zip(found[1:-1], bad, strict=True):
        assert isinstance(one, Refused)
        assert reason in one.reason


TURNS = [
    {"from": "human", "value": "interact with a household", "loss": None},
    {"from": "gpt", "value": "OK", "loss": False},
    {"from": "human", "value": "you are in a room. Your task is to: heat the egg", "loss": None},
    {"from": "gpt", "value": "Thought: the egg first.\n\nAction:\ntake egg 1", "loss": True},
    {"from": "human", "value": "you take it", "loss": None},
    {"from": "gpt", "value": "Think: now.\nACTION: heat egg 1", "loss": False},
]


@pytest.mark.parametrize("as_array", [True, False])
def test_agentgym_loss_becomes_weight_and_the_task_follows_the_consent(as_array: bool) -> None:
    """AgentTraj's arrays and AgentInstruct's lines; how it ended nobody says."""
    records = [
        {"item_id": "alfworld_12", "conversations": TURNS},
        {"id": "os_0", "conversations": [{"from": "human", "value": "count the files"}, TURNS[3]]},
    ]
    data = json.dumps(records).encode() if as_array else lines(*records)
    one, other = read("agentgym", data)
    assert one.task == "you are in a room. Your task is to: heat the egg"
    assert (one.world, one.task_key, one.outcome) == ("alfworld", "alfworld_12", "unknown")
    assert one.actions == ("take egg 1", "heat egg 1")
    assert [message.weight for message in one.messages] == [None, 0.0, None, 1.0, None, 0.0]
    assert [message.kind for message in one.messages] == [None, None, "task", "act", "observe", "act"]
    assert (other.world, other.task) == ("os", "count the files")


@pytest.mark.parametrize(
    ("told", "outcome"),
    [({}, "unknown"), ({"reward": 1}, "success"), ({"reward": 0.4}, "failure"), ({"success": 0}, "failure")],
)
def test_agentgym_outcomes_are_those_the_record_tells(told: dict[str, Any], outcome: str) -> None:
    """Its evaluation writes them, its data sets do not."""
    (attempt,) = read("agentgym", lines({"item_id": "a_1", "conversations": TURNS} | told))
    assert (attempt.outcome, attempt.reward) == (outcome, told.get("reward"))


def test_mini_swe_agent_commands_are_the_blocks_of_its_turns() -> None:
    """The first version writes shell blocks; a submission is not yet a success."""
    run = {
        "info": {"exit_status": "Submitted", "model_stats": {"instance_cost": 0.25, "api_calls": 2}},
        "messages": [
            {"role": "system", "content": "answer in bash"},
            {"role": "user", "content": "please\n<pr_description>\nthe door squeaks\n</pr_description>"},
            {"role": "assistant", "content": "THOUGHT: look\n\n```bash\nls -a\n```"},
            {"role": "user", "content": "door.py"},
            {"role": "assistant", "content": "```mswea_bash_command\nsed -i s/squeak// door.py\n```"},
        ],
        "trajectory_format": "mini-swe-agent-1",
        "instance_id": "door-1",
    }
    (attempt,) = read("swe-agent", json.dumps(run, indent=1).encode())
    assert attempt.task == "the door squeaks"
    assert attempt.actions == ("ls -a", "sed -i s/squeak// door.py")
    assert (attempt.outcome, attempt.task_key, attempt.usage.cost_usd) == ("unknown", "door-1", 0.25)
    assert [message.kind for message in attempt.messages] == [None, "task", "act", "observe", "act"]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("Submitted", "unknown"),
        ("submitted", "unknown"),
        ("", "unknown"),
        ("LimitsExceeded", "failure"),
        ("exit_cost", "failure"),
        ("RuntimeError", "infra"),
    ],
)
def test_how_a_run_was_left_decides_what_it_teaches(status: str, outcome: str) -> None:
    """Infra and unknown never teach; the last message of version two is no message."""
    run = {
        "info": {"exit_status": status},
        "messages": [*CHAT, {"role": "exit", "content": "", "extra": {"exit_status": status}}],
        "trajectory_format": "mini-swe-agent-1.1",
    }
    (attempt,) = read("swe-agent", json.dumps(run).encode())
    assert (attempt.outcome, len(attempt.messages)) == (outcome, len(CHAT))
    assert attempt.error == (status if outcome == "infra" else None)


def test_swe_agent_demonstrations_are_left_out() -> None:
    """They are somebody else's attempt."""
    history = [
        {"role": "user", "content": "a demonstration", "is_demo": True},
        {"role": "user", "content": "the task"},
        {"role": "assistant", "content": "I list.", "action": "ls\n", "thought": "I list."},
    ]
    (attempt,) = read("swe-agent", json.dumps({"history": history, "environment": "swe_main"}).encode())
    assert (attempt.task, attempt.actions, attempt.task_key) == ("the task", ("ls",), "")


def result(trial: int, reward: float) -> dict[str, Any]:
    info = {"task": {"instruction": "the caller secretly wants a window seat", "actions": []}}
    return {"task_id": 3, "trial": trial, "reward": reward, "info": info, "traj": CHAT}


def test_tau_bench_rewards_decide_and_its_secret_stays_secret(memory: Memory) -> None:
    """Trials of one task share its id; the simulated user's instruction is nowhere."""
    report = taken(memory, "tau-bench", json.dumps([result(0, 1.0), result(1, 0.0), {"reward": 1}]).encode())
    assert (report.episodes, report.added, [one.line for one in report.refused]) == (2, 1, [3])
    one, other = memory.episodes("home")
    assert one.task_id == other.task_id
    assert {(episode.outcome, episode.reward) for episode in (one, other)} == {
        ("success", 1.0),
        ("failure", 0.0),
    }
    assert "window seat" not in str(memory.episodes("home")) + str(memory.items("home"))


def test_knowagent_texts_are_cut_into_turns() -> None:
    """Thoughts belong to the act they lead to."""
    told = "Your task is to: fetch a mug.\n> Think: where?\n> go to shelf 1\nA mug.\n> take mug 1\nTaken."
    (attempt, refused) = read(
        "knowagent", lines({"name": "a/b", "result": True, "traj": told}, {"traj": told})
    )
    assert attempt.actions == ("go to shelf 1", "take mug 1")
    assert [message.text for message in attempt.messages][1:3] == ["Think: where?\n> go to shelf 1", "A mug."]
    assert (attempt.task, attempt.outcome) == ("fetch a mug.", "success")
    assert "neither true nor false" in refused


BLOCK = {"label": "human", "value": "likes tea", "limit": 100}
SAID = {"role": "user", "content": [{"type": "text", "text": "hello"}]}
REPLY = {"role": "assistant", "content": [{"type": "reasoning", "reasoning": "hm"}], "tool_calls": [CALL]}


@pytest.mark.parametrize("is_new", [True, False])
def test_letta_blocks_become_profiles_and_messages_an_attempt(is_new: bool) -> None:
    """In the present form of an agent file and in the one before; system prompts stay behind."""
    told = [{"role": "system", "content": [{"type": "text", "text": "SYSTEM"}]}, SAID, REPLY]
    empty = {"label": "persona", "value": ""}
    if is_new:
        file: dict[str, Any] = {"agents": [{"name": "a", "messages": told}], "blocks": [BLOCK, empty]}
    else:
        file = {"name": "a", "core_memory": [BLOCK, empty], "messages": told}
    profile, attempt = read("letta", json.dumps(file).encode())
    assert profile == Draft("profile", "human: likes tea", NoteBody("human", "likes tea"))
    assert (attempt.task, attempt.world, len(attempt.messages)) == ("hello", "letta", 2)
    assert "SYSTEM" not in str(attempt)
    with pytest.raises(BadInput, match="not an agent file"):
        read("letta", b"{}")


@pytest.mark.parametrize("shape", ["lines", "array", "search"])
def test_langgraph_items_become_profiles(shape: str) -> None:
    """The value's words are the text, its path the subject; a value without words is kept as JSON."""
    values: list[Any] = [
        {"text": "likes tea"},
        {"kind": "Memory", "content": {"content": "is in Bonn"}},
        {"age": 7},
        {},
    ]
    stamp = {"created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-01-01T00:00:00Z"}
    items = [
        {"namespace": ["users", "ada"], "key": f"k{n}", "value": value} | stamp
        for n, value in enumerate(values)
    ]
    data = {
        "lines": lines(*items),
        "array": json.dumps(items).encode(),
        "search": json.dumps({"items": items}, indent=1).encode(),
    }[shape]
    found = read("langgraph", data)
    assert [thing.text for thing in found[:3]] == ["likes tea", "is in Bonn", '{"age":7}']
    assert found[0].body == NoteBody("users/ada/k0", "likes tea")
    assert found[3] == "the value is empty"


def test_voyager_skills_are_kept_as_drafts(memory: Memory) -> None:
    """Foreign code can be looked at; nobody recalls it."""
    skill = {
        "code": "async function chop(bot) { await dig(bot); }",
        "description": "async function chop(bot) {\n    // It chops\n    // wood.\n}",
    }
    assert taken(memory, "voyager", json.dumps({"chop": skill}).encode()).added == 1
    (item,) = memory.items("home")
    assert item.body == ToolBody("chop", "It chops wood.", {}, skill["code"])
    assert (item.text, item.status) == ("chop: It chops wood.", "draft")


def test_a_success_becomes_a_case_that_is_found_and_not_trusted(memory: Memory, say: Any) -> None:
    """Task and actions, no invented lesson; external, and with the source it can be revoked by."""
    report = taken(memory, "tau-bench", json.dumps([result(0, 1.0)]).encode())
    (hit,) = say.recall("find the mug").hits
    (episode,) = memory.episodes("home")
    assert hit.item.body == CaseBody("find the mug", ('open({"place":"fridge"})',), "", steps=1)
    assert (hit.item.trust, hit.item.channel, hit.item.lineage.source) == (0, "external", report.source)
    assert hit.item.lineage.evidence[0].episode == episode.id
    assert (episode.channel, episode.source, episode.principal) == ("external", report.source, "ada")
    assert report.source.startswith("import:tau-bench:")


def test_the_operator_may_vouch_and_say_how_it_went(memory: Memory) -> None:
    """For what the log does not say; what it does say stands. Nobody else may vouch."""
    data = lines({"messages": CHAT})
    assert taken(memory, "openai", data).added == 0
    with pytest.raises(Denied, match="only an operator"):
        taken(memory, "openai", data, vouched=True)
    chat = [
        dict(message, content="find the cup") if message["role"] == "user" else message for message in CHAT
    ]
    taken(
        *(memory, "openai", lines({"messages": chat})),
        channel="operator",
        vouched=True,
        outcome="success",
        family="kitchen",
    )
    (case,) = memory.items("home")
    assert (case.trust, case.scope, case.family) == (4, "family", "kitchen")
    told = json.dumps([result(0, 0.0)]).encode()
    assert taken(memory, "tau-bench", told, channel="operator", vouched=True, outcome="success").added == 0


def test_a_second_import_adds_nothing(memory: Memory) -> None:
    """Neither the same file, nor another with the same record, nor what was forgotten since."""
    data = json.dumps([result(0, 1.0), result(1, 1.0)]).encode()
    assert taken(memory, "tau-bench", data).episodes == 2
    before = memory.stats()
    again = taken(memory, "tau-bench", data)
    assert (again.episodes, again.added) == (0, 0)
    assert again.present >= 1
    taken(memory, "tau-bench", json.dumps([result(1, 1.0)]).encode())
    memory.forget("home", memory.items("home")[0].id, principal="ada")
    taken(memory, "tau-bench", data)
    after = memory.stats()
    assert (after.items, after.episodes) == (before.items, before.episodes)


def test_an_import_is_taken_back_by_its_source(memory: Memory, say: Any) -> None:
    """Its cases are recalled no more, its episodes teach nothing; what was there before stays."""
    say.remember(say.case("the mug is in cabinet 3"))
    report = taken(memory, "tau-bench", json.dumps([result(0, 1.0), result(1, 0.0)]).encode())
    memory.revoke("home", report.source, principal="ada")
    own, imported = memory.items("home")
    assert (own.status, imported.status) == ("active", "retired")
    assert all(episode.forgotten for episode in memory.episodes("home"))
    again = taken(memory, "tau-bench", json.dumps([result(0, 1.0), result(1, 0.0)]).encode())
    assert (again.added, again.episodes) == (0, 0)
    assert memory.items("home") == (own, imported)


def test_secrets_stay_outside_and_broken_text_is_refused_by_line(memory: Memory) -> None:
    """Of an attempt all but the secret is kept, an item that holds one is refused; nothing names it."""
    secret = "AKIA" + "IOSFODNN7EXAMPLQ"
    call = {"function": {"name": "login", "arguments": {"key": secret}}}
    told = [dict(CHAT[1], content=f"use {secret}"), {"role": "assistant", "tool_calls": [call]}]
    assert taken(memory, "openai", lines({"messages": told}), outcome="success").added == 1
    assert "[secret" in str(memory.items("home")[0].body)
    block = {"agents": [], "blocks": [dict(BLOCK, value=secret), BLOCK]}
    refused = taken(memory, "letta", json.dumps(block).encode())
    assert (refused.added, [one.line for one in refused.refused]) == (1, [1])
    assert "AWS Access Key" in refused.refused[0].reason
    torn = b'{"messages": [{"role": "user", "content": "\\ud800"}, {"role": "assistant", "content": "a"}]}'
    report = taken(memory, "openai", lines(torn, {"messages": CHAT}))
    assert (report.episodes, [one.line for one in report.refused]) == (1, [1])
    assert secret not in str([refused, memory.episodes("home"), memory.items("home"), memory.log("home")])


def test_one_draft_that_memory_refuses_does_not_keep_the_others_out(memory: Memory) -> None:
    """The batch falls apart into single ones, and the bad one is named by its line."""
    skills = {name: {"code": name, "description": name} for name in ("one", "two", "three")}
    author = Author("home", "ada", "external", 1.0, "hash")

    def picky(drafts: Sequence[Draft], ids: Sequence[str]) -> tuple[Item, ...]:
        if any(draft.text.startswith("two") for draft in drafts):
            raise BadInput("memory says no")
        return memory.remember("home", drafts, principal="ada", channel="external", ids=ids)

    report = take_log(memory._store, picky, author, json.dumps(skills).encode(), Reading("voyager"))
    assert (report.added, report.n_refused, report.refused[0].line) == (2, 1, 2)


def test_unknown_formats_and_whole_files_of_another_are_refused(memory: Memory) -> None:
    """With the formats there are."""
    with pytest.raises(BadInput, match="none of openai, agentgym"):
        taken(memory, "word", b"")
    with pytest.raises(BadInput, match="not JSON"):
        taken(memory, "openai", b"[1,")
    assert taken(memory, "openai", b"").n_refused == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "role", "content", "conversations", "from", "value", "traj"])
            | st.sampled_from(["reward", "history", "agents", "blocks", "label", "namespace", "key"])
            | st.sampled_from(["tool_calls", "function", "name", "info", "text", "result"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.binary(max_size=40) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_file_breaks_an_importer(name: str, data: bytes) -> None:
    """Whatever is in it: it is read, refused by line, or refused as a whole."""
    try:
        for one in importer(name)(data):
            assert isinstance(one, (Found, Refused))
    except BadInput:
        pass


contents = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).filter(str.strip)


@given(st.lists(st.tuples(contents, contents, st.none() | st.sampled_from([0, 1])), min_size=1, max_size=4))
def test_every_word_of_a_chat_is_kept(turns: list[tuple[str, str, int | None]]) -> None:
    """Texts, order and weights, whatever the words are."""
    chat = [
        message
        for asked, answered, weight in turns
        for message in (
            {"role": "user", "content": asked},
            {"role": "assistant", "content": answered} | ({} if weight is None else {"weight": weight}),
        )
    ]
    (attempt,) = read("openai", lines({"messages": chat}))
    assert [message.text for message in attempt.messages] == [message["content"] for message in chat]
    assert [m.weight for m in attempt.messages[1::2]] == [weight for *_, weight in turns]


@pytest.fixture(scope="module")
def recorded() -> Callable[[str], list[bytes]]:
    """Files of the recorded trajectories whose path begins so; skips where they are not."""
    folders = [Path(os.environ.get("APPRENTICE_DATA", "")), Path(__file__).parents[3] / "shared" / "data"]
    found = [
        folder / "trajectories.tar.xz" for folder in folders if (folder / "trajectories.tar.xz").is_file()
    ]
    if not found:
        pytest.skip("trajectories.tar.xz is neither in $APPRENTICE_DATA nor in ../shared/data")
    with tarfile.open(found[0]) as archive:
        files = {
            member.name: archive.extractfile(member) or io.BytesIO()
            for member in archive.getmembers()
            if member.isfile()
        }
        contents = {name: file.read() for name, file in files.items()}

    def of(start: str) -> list[bytes]:
        return [
            data
            for name, data in sorted(contents.items())
            if name.startswith(start) and "LICENSE" not in name
        ]

    return of


def outcomes(name: str, files: list[bytes]) -> Counter[str]:
    things = [thing for data in files for thing in read(name, data)]
    assert all(isinstance(thing, Attempt) and thing.task and thing.actions is not None for thing in things)
    return Counter(thing.outcome for thing in things)


def test_recorded_runs_are_read_whole(recorded: Callable[[str], list[bytes]]) -> None:
    """Every record of real files, with the outcomes their authors report."""
    assert outcomes("tau-bench", recorded("tau_bench/")) == {"success": 84, "failure": 116}
    later = recorded("knowagent/KnowAgentALFWorld_llama-2-13b_D1")
    assert outcomes("knowagent", later) == {"success": 182, "failure": 328}
    runs = [data for data in recorded("swe_agent/") if data.lstrip().startswith(b"{")]
    assert outcomes("swe-agent", runs) == {"unknown": len(runs)}
    skills = [thing for data in recorded("voyager/") for thing in read("voyager", data)]
    assert len(skills) > 100
    assert all(isinstance(skill, Draft) and isinstance(skill.body, ToolBody) for skill in skills)


@pytest.mark.slow
def test_recorded_runs_go_in_once(recorded: Callable[[str], list[bytes]], memory: Memory) -> None:
    """As episodes and cases; what is refused holds secrets, or is too long for an item."""
    for name, start in (("tau-bench", "tau_bench/"), ("knowagent", "knowagent/KnowAgentALFWorld")):
        for data in recorded(start):
            first, second = taken(memory, name, data), taken(memory, name, data)
            assert first.n_refused == 0
            assert first.episodes > 100
            assert (second.episodes, second.added) == (0, 0)
    assert memory.check() == ()
