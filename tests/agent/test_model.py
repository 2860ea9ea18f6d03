"""Hosted models, directly and through litellm, against a real HTTP server on the loopback."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from agent.models.hosted import LiteModel, ModelSettings
from agent.models.retry import Backoff
from agent.types import Reply, Request, ToolSpec
from memory.errors import BadInput, BudgetExceeded, ContextExceeded, ModelError, Throttled
from memory.types import Image, Json, Message, Text, ToolCall
from tests.agent.openai_server import Scripted, Service, fails, says, streams

ASK = (Message("user", "hello"),)
MUG: dict[str, Json] = {
    "type": "object",
    "properties": {"mugs": {"type": "integer"}},
    "required": ["mugs"],
    "additionalProperties": False,
}
LOOK_UP = ToolSpec("look_up", "Find it.", {"type": "object", "properties": {"word": {"type": "string"}}})


@pytest.fixture(params=["direct", "litellm"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    running = Service()
    running.way = request.param
    yield running
    running.close()


class Sleeps:
    """Time that passes at once, and is written down."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


def model(
    service: Service, sleep: Sleeps | None = None, name: str = "openai/test", **settings: object
) -> LiteModel:
    made = ModelSettings(direct=service.way == "direct", **settings)  # type: ignore[arg-type]
    return LiteModel(name, api_base=service.url, settings=made, sleep=sleep or Sleeps())


async def test_answer_carries_text_usage_and_name(service: Service) -> None:
    """One call gives one reply with what the service counted."""
    service.script = [says("good day")]
    (reply,) = await model(service).complete(Request(ASK, max_tokens=5, stop=("X",), seed=3))
    assert reply.message == Message("assistant", "good day")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.calls) == (7, 3, 1)
    sent = service.requests[0]
    assert (sent["max_tokens"], sent["stop"], sent["seed"], sent["model"]) == (5, ["X"], 3, "test")
    assert sent["messages"] == [{"role": "user", "content": "hello"}]


async def test_price_is_known_where_the_model_is(service: Service) -> None:
    """A public model costs what litellm's list says; a self-hosted one is free."""
    service.script = [says("a"), says("b")]
    (paid,) = await model(service, name="openai/gpt-4.1").complete(Request(ASK))
    (free,) = await model(service).complete(Request(ASK))
    assert paid.usage.cost_usd == pytest.approx(7 * 2e-6 + 3 * 8e-6)
    assert free.usage.cost_usd == 0.0


async def test_missing_usage_is_estimated(service: Service) -> None:
    """A service that counts nothing must not make budgets blind."""
    body = dict(says("four words it said").body)  # type: ignore[arg-type,call-overload]
    body["usage"] = None
    service.script = [Scripted(body=body)]
    (reply,) = await model(service).complete(Request(ASK))
    assert reply.usage.completion_tokens >= 4
    assert reply.usage.calls == 1


async def test_calls_without_leave_are_refused() -> None:
    """Without `allow_calls` nothing leaves this machine."""
    for base in (None, "https://api.example.com/v1", "http://127.0.0.1.example.com/v1"):
        with pytest.raises(ModelError, match="allow_calls"):
            await LiteModel("openai/gpt-4.1", api_base=base).complete(Request(ASK))


async def test_key_of_the_environment_stays_home(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that happens to be in the environment is not sent to a server named by the caller."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    service.script = [says("a"), says("b")]
    await model(service).complete(Request(ASK))
    await LiteModel("openai/test", api_base=service.url, api_key="given").complete(Request(ASK))
    assert [h["authorization"] for h in service.headers] == ["Bearer no-key", "Bearer given"]


@pytest.mark.parametrize("trouble", [fails(429), fails(500), fails(502), fails(503), Scripted(text="{oops")])
async def test_passing_trouble_is_tried_again(service: Service, trouble: Scripted) -> None:
    """Rate limits, server errors and broken JSON are retried with growing waits."""
    sleep = Sleeps()
    service.script = [trouble, trouble, says("at last")]
    (reply,) = await model(service, sleep).complete(Request(ASK))
    assert reply.message.text == "at last"
    assert len(service.requests) == 3
    first, second = sleep.waits
    assert 0.25 <= first <= 0.5 <= second <= 1.0


async def test_retry_after_is_obeyed(service: Service) -> None:
    """The wait that a server asks for is the least we wait."""
    sleep = Sleeps()
    service.script = [fails(429, retry_after="7"), says("ok")]
    await model(service, sleep).complete(Request(ASK))
    assert sleep.waits == [7.0]


async def test_lasting_trouble_is_a_model_error(service: Service) -> None:
    """After the last retry the cause is told, and nothing more is tried."""
    service.script = [fails(500, "broken for good")] * 9
    with pytest.raises(ModelError, match="broken for good"):
        await model(service, backoff=Backoff(retries=2)).complete(Request(ASK))
    assert len(service.requests) == 3


async def test_a_provider_without_room_is_told_as_that(service: Service) -> None:
    """Whoever asks can come again, which of other trouble nobody knows."""
    service.script = [fails(429, "too many")] * 9
    with pytest.raises(Throttled, match="too many"):
        await model(service, backoff=Backoff(retries=1)).complete(Request(ASK))


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (401, "bad key", ModelError),
        (404, "no such model", BadInput),
        (400, "bad argument", BadInput),
        (400, "This model's maximum context length is 8 tokens", ContextExceeded),
    ],
)
async def test_errors_of_the_caller_are_not_retried(
    service: Service, status: int, message: str, expected: type[Exception]
) -> None:
    """What will fail again fails at once, as the error that says who can mend it."""
    service.script = [fails(status, message)]
    with pytest.raises(expected) as caught:
        await model(service).complete(Request(ASK))
    assert type(caught.value) is expected
    assert len(service.requests) == 1


async def test_silent_server_times_out(service: Service) -> None:
    """A server that does not answer in time is a model error, not a hang."""
    hold = threading.Event()
    service.script = [Scripted(hold=hold, body={}), Scripted(hold=hold, body={})]
    try:
        with pytest.raises(ModelError, match="Timeout"):
            await model(service, timeout_s=0.2, backoff=Backoff(retries=1)).complete(Request(ASK))
    finally:
        hold.set()
    assert len(service.requests) == 2


async def test_unknown_provider_is_bad_input() -> None:
    """A name without a provider that anybody knows is the caller's to mend."""
    with pytest.raises(BadInput, match="no-such-thing"):
        await LiteModel("no-such-thing/x", allow_calls=True).complete(Request(ASK))


async def test_several_answers_in_one_call_share_its_usage(service: Service) -> None:
    """`n` choices are one call; their usage adds up to what was counted once."""
    service.script = [says("a", "b", "c")]
    replies = await model(service).complete(Request(ASK, n=3))
    assert [r.message.text for r in replies] == ["a", "b", "c"]
    assert sum(r.usage.prompt_tokens for r in replies) == 7
    assert service.requests[0]["n"] == 3


async def test_services_without_n_are_asked_again(service: Service) -> None:
    """A service that ignores `n` is called until there are enough answers."""
    service.script = [says("a"), says("b")]
    replies = await model(service).complete(Request(ASK, n=2))
    assert [r.message.text for r in replies] == ["a", "b"]
    assert sum(r.usage.calls for r in replies) == 2


async def test_tools_calls_and_results_travel_in_openai_format(service: Service) -> None:
    """Definitions, earlier calls with results, and the new call keep their form."""
    asked: Json = {
        "id": "x1",
        "type": "function",
        "function": {"name": "look_up", "arguments": '{"word": "b"}'},
    }
    service.script = [says("", calls=[asked], finish="tool_calls")]
    earlier = ToolCall("call00001", "look_up", {"word": "a"})
    history = (
        *ASK,
        Message("assistant", "", tool_calls=(earlier,)),
        Message("tool", "found", tool_call_id="call00001"),
    )
    (reply,) = await model(service).complete(Request(history, tools=(LOOK_UP,)))
    assert reply.message.tool_calls == (ToolCall("x1", "look_up", {"word": "b"}),)
    assert reply.finish == "tool_calls"
    sent = service.requests[0]
    assert sent["tools"][0]["function"]["name"] == "look_up"
    assert json.loads(sent["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {"word": "a"}
    assert sent["messages"][2] == {"role": "tool", "content": "found", "tool_call_id": "call00001"}


async def test_without_native_tools_everything_is_said_in_words(service: Service) -> None:
    """Servers that know no tools see descriptions, written calls and observations."""
    service.script = [says("Action: look_up {}")]
    call = ToolCall("call00001", "look_up", {"word": "a"})
    history = (*ASK, Message("assistant", tool_calls=(call,)), Message("tool", "found", tool_call_id=call.id))
    await model(service, native_tools=False).complete(Request(history, tools=(LOOK_UP,)))
    sent = service.requests[0]
    assert "tools" not in sent
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user", "user"]
    assert sent["messages"][1]["content"] == 'Action: look_up {"word": "a"}'
    assert sent["messages"][2]["content"] == "Observation: found"
    assert "Find it." in sent["messages"][3]["content"]


async def test_images_pass_through(service: Service) -> None:
    """Image parts reach the service unchanged."""
    service.script = [says("a cat")]
    parts = (Text("what is it?"), Image("https://example.com/cat.png", "low"))
    await model(service).complete(Request((Message("user", parts),)))
    assert service.requests[0]["messages"][0]["content"] == [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png", "detail": "low"}},
    ]


@pytest.mark.parametrize(
    "text", ['{"mugs": 2}', 'Here:\n```json\n{"mugs": 2}\n```', 'So {"mugs": 2} it is', '{"mugs": 2']
)
async def test_json_is_mended_without_another_call(service: Service, text: str) -> None:
    """Fences, words around it and a missing end cost nothing."""
    service.script = [says(text)]
    (reply,) = await model(service).complete(Request(ASK, schema=MUG))
    assert json.loads(reply.message.text) == {"mugs": 2}
    assert service.requests[0]["response_format"]["json_schema"]["schema"] == MUG


async def test_wrong_json_gets_a_repair_turn_that_shows_the_error(service: Service) -> None:
    """The model reads what was wrong; both calls are paid for."""
    service.script = [says('{"mugs": "two"}'), says('{"mugs": 2}')]
    (reply,) = await model(service).complete(Request(ASK, schema=MUG))
    assert json.loads(reply.message.text) == {"mugs": 2}
    assert (reply.usage.calls, reply.usage.prompt_tokens) == (2, 14)
    told = service.requests[1]["messages"][-1]["content"]
    assert "'two' is not of type 'integer'" in told


async def test_json_that_stays_wrong_is_a_model_error(service: Service) -> None:
    """Two repairs, then the end."""
    service.script = [says("I would rather not")] * 5
    with pytest.raises(ModelError, match="no JSON"):
        await model(service).complete(Request(ASK, schema=MUG))
    assert len(service.requests) == 3


async def test_server_without_json_schema_is_asked_in_words(service: Service) -> None:
    """A refusal of response_format is remembered; the schema goes into the prompt, the answer is checked."""
    service.script = [fails(400, "unknown field response_format"), says('{"mugs": 1}'), says('{"mugs": 3}')]
    asked = model(service)
    (first,) = await asked.complete(Request(ASK, schema=MUG))
    (second,) = await asked.complete(Request(ASK, schema=MUG))
    assert [json.loads(r.message.text)["mugs"] for r in (first, second)] == [1, 3]
    assert ["response_format" in sent for sent in service.requests] == [True, False, False]
    assert "additionalProperties" in service.requests[2]["messages"][-1]["content"]


async def test_broken_schema_is_bad_input_before_any_call(service: Service) -> None:
    """A schema that is none costs nothing."""
    with pytest.raises(BadInput, match="JSON Schema"):
        await model(service).complete(Request(ASK, schema={"type": "mug"}))
    assert service.requests == []


@pytest.mark.parametrize("text", ['{"choice": "no"}', "No.", '"no"', "**no**"])
async def test_forced_choice_names_one_of_the_choices(service: Service, text: str) -> None:
    """JSON or bare words, the answer is the choice as it was given."""
    service.script = [says(text)]
    (reply,) = await model(service).complete(Request(ASK, choices=("yes", "no")))
    assert (reply.choice, reply.message.text) == (1, "no")


async def test_evasive_choice_is_repaired(service: Service) -> None:
    """An answer outside the choices is sent back once."""
    service.script = [says("it depends"), says("yes")]
    (reply,) = await model(service).complete(Request(ASK, choices=("yes", "no")))
    assert reply.choice == 0
    assert "yes | no" in service.requests[1]["messages"][-1]["content"]


async def test_broken_arguments_of_a_call_are_repaired(service: Service) -> None:
    """A call whose arguments are no JSON is sent back; cut-off JSON is mended here."""
    bad: Json = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": "word=b"}}
    cut: Json = {"id": "2", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "b'}}
    service.script = [says("", calls=[bad]), says("", calls=[cut])]
    (reply,) = await model(service).complete(Request(ASK, tools=(LOOK_UP,)))
    assert reply.message.tool_calls[0].arguments == {"word": "b"}


async def test_cost_limit_stops_repairs(service: Service) -> None:
    """What a call may cost bounds its repair turns."""
    service.script = [says("no json")] * 5
    with pytest.raises(BudgetExceeded, match="dollars"):
        await model(service, name="openai/gpt-4.1", max_cost_usd=1e-9).complete(Request(ASK, schema=MUG))
    assert len(service.requests) == 1


async def test_stream_gives_pieces_then_the_whole(service: Service) -> None:
    """Pieces join to the text of the last reply, which has the usage."""
    service.script = [streams({"role": "assistant", "content": "good"}, {"content": " day"})]
    deltas = [delta async for delta in model(service).stream(Request(ASK))]
    assert [d.text for d in deltas if d.text] == ["good", " day"]
    reply = deltas[-1].reply
    assert reply is not None
    assert (reply.message.text, reply.usage.completion_tokens, reply.finish) == ("good day", 3, "stop")


async def test_stream_of_one_repeated_piece_is_no_error(service: Service) -> None:
    """Small models repeat themselves; their streams end by token limits alone."""
    service.script = [streams(*([{"content": "na "}] * 150))]
    deltas = [delta async for delta in model(service).stream(Request(ASK))]
    assert deltas[-1].reply is not None
    assert deltas[-1].reply.message.text.strip() == " ".join(["na"] * 150)


async def test_streamed_tool_calls_are_put_together(service: Service) -> None:
    """Arguments come in pieces; the last delta has the whole call."""
    head: Json = {"index": 0, "id": "x", "type": "function", "function": {"name": "look_up", "arguments": ""}}
    pieces: list[Json] = [
        {"tool_calls": [head]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"word":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ' "b"}'}}]},
    ]
    service.script = [streams(*pieces, finish="tool_calls")]
    deltas = [delta async for delta in model(service).stream(Request(ASK, tools=(LOOK_UP,)))]
    assert _whole(deltas[-1].reply).tool_calls == (ToolCall("x", "look_up", {"word": "b"}),)


async def test_streamed_json_comes_checked(service: Service) -> None:
    """An answer of a form is streamed whole, after its check."""
    service.script = [says('Well: {"mugs": 2}')]
    deltas = [delta async for delta in model(service).stream(Request(ASK, schema=MUG))]
    assert deltas[0].text == '{"mugs": 2}'
    assert json.loads(_whole(deltas[-1].reply).text) == {"mugs": 2}


async def test_stream_retries_before_its_first_piece(service: Service) -> None:
    """A stream that does not open is tried again."""
    service.script = [fails(503), streams({"content": "ok"})]
    deltas = [delta async for delta in model(service).stream(Request(ASK))]
    assert _whole(deltas[-1].reply).text == "ok"


async def test_stream_error_is_ours(service: Service) -> None:
    """A stream that is refused raises from our tree."""
    service.script = [fails(401, "bad key")]
    with pytest.raises(ModelError, match="bad key"):
        _ = [delta async for delta in model(service).stream(Request(ASK))]


async def test_a_stream_that_fails_on_the_way_is_ours(service: Service) -> None:
    """What was said is given; then the service's own words, and nothing is tried again."""
    ok, *_ = streams({"content": "good"}).events
    service.script = [Scripted(events=(ok, {"error": {"message": "out of memory", "code": 500}}))]
    deltas = model(service).stream(Request(ASK))
    assert (await anext(aiter(deltas))).text == "good"
    with pytest.raises(ModelError, match="out of memory"):
        await anext(aiter(deltas))
    assert len(service.requests) == 1


async def test_a_long_piece_of_a_stream_comes_whole(service: Service) -> None:
    """A call may come in one piece with all its arguments."""
    service.script = [streams({"content": "na " * 200_000})]
    deltas = [delta async for delta in model(service).stream(Request(ASK))]
    assert _whole(deltas[-1].reply).text == "na " * 200_000


async def test_models_work_in_several_loops_and_after_they_were_closed(service: Service) -> None:
    """Chats and jobs run in different loops; a closed model opens again."""
    service.script = [says("one"), says("two"), says("three")]
    asked = model(service)
    (first,) = await asked.complete(Request(ASK))
    (second,) = await asyncio.to_thread(asyncio.run, asked.complete(Request(ASK)))
    asked.close()
    (third,) = await asked.complete(Request(ASK))
    assert [one.message.text for one in (first, second, third)] == ["one", "two", "three"]


async def test_a_proxy_of_the_environment_is_used(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says of proxies holds, and of hosts that need none."""
    monkeypatch.setenv("http_proxy", service.url.removesuffix("/v1"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    service.script = [says("through"), says("straight")]
    far = LiteModel("hosted_vllm/test", api_base="http://model.invalid/v1", allow_calls=True)
    (reply,) = await far.complete(Request(ASK))
    assert reply.message.text == "through"
    monkeypatch.setenv("http_proxy", "http://proxy.invalid")
    (reply,) = await model(service).complete(Request(ASK))
    assert reply.message.text == "straight"


def test_tokens_are_counted_offline() -> None:
    """Counting needs no network, also for models whose tokenizer lies on a hub."""
    for name in ("openai/gpt-4.1", "hosted_vllm/meta-llama/Llama-2-7b"):
        assert 3 <= LiteModel(name).count_tokens("three plain words") <= 6


def test_litellm_is_imported_late_and_leaves_the_environment_alone() -> None:
    """Importing the module costs nothing; the flag for litellm's import does not stay behind."""
    code = (
        "import os, sys; import agent.models.hosted; assert 'litellm' not in sys.modules;"
        "agent.models.hosted.LiteModel('openai/x').warm_up(); assert 'litellm' in sys.modules;"
        "assert 'LITELLM_LOCAL_MODEL_COST_MAP' not in os.environ"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LITELLM")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=clean, check=False
    )
    assert done.returncode == 0, done.stderr


def _whole(reply: Reply | None) -> Message:
    assert reply is not None
    return reply.message
