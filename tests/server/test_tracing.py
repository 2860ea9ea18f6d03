"""Traces: a request's way through recall, model, tools and the jobs that it set, as one."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from server import logs
from server.settings import Settings
from server.tracing_otel import OtelTracer
from server.wiring import Parts, build
from tests.server import scripted_server
from tests.server.served import Served, serve

SAID = "the spare key is under the blue pot"
ABOVE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """Where spans end up."""
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def traced(exporter: InMemorySpanExporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that traces."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    data = tmp_path_factory.mktemp("data")
    settings = Settings(data_dir=data, encoder="hash", model="looker", job_poll_s=0.02, port=0)
    models = scripted_server.models()
    services = build(settings, Parts(models=models, tracer=OtelTracer(provider)))
    with serve(services, models) as served:
        yield served


@pytest.fixture
def client(traced: Served, exporter: InMemorySpanExporter) -> Iterator[httpx.Client]:
    """Every request is below ABOVE."""
    exporter.clear()
    with traced.client("traces") as client:
        client.headers["traceparent"] = ABOVE
        yield client


def ours(exporter: InMemorySpanExporter, *names: str) -> list[ReadableSpan]:
    """The spans below ABOVE, once each of `names` has ended, which a request's does after its answer."""
    wanted, until = int(ABOVE.split("-")[1], 16), time.monotonic() + 60.0
    while True:
        found = [span for span in exporter.get_finished_spans() if span.context.trace_id == wanted]
        missing = set(names) - {span.name for span in found}
        if not missing:
            return sorted(found, key=lambda span: span.start_time or 0)
        assert time.monotonic() < until, f"{missing} did not end; there are {[span.name for span in found]}"
        time.sleep(0.01)


def one(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    (found,) = [span for span in spans if span.name == name]
    return found


def below(span: ReadableSpan, above: ReadableSpan) -> bool:
    return span.parent is not None and span.parent.span_id == above.context.span_id


def values(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_is_recall_model_and_record_below_its_request(
    client: httpx.Client, exporter: InMemorySpanExporter, stream: bool
) -> None:
    """With the model's tokens; the request goes on from the caller's own trace."""
    body = {"model": "talker", "messages": [{"role": "user", "content": SAID}], "stream": stream}
    apart = {"traceparent": ABOVE.replace("4bf9", "5bf9")}
    whole = client.post("/v1/chat/completions", json={**body, "stream": False}, headers=apart)
    usage = whole.json()["usage"]
    assert client.post("/v1/chat/completions", json=body).status_code == 200
    spans = ours(exporter, "POST /v1/chat/completions", "recall", "chat talker", "record")
    request = one(spans, "POST /v1/chat/completions")
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == ABOVE.split("-")[2]
    assert values(request)["http.response.status_code"] == 200
    assert values(request)["apprentice.namespace"] == "traces"
    for stage in ("recall", "chat talker", "record"):
        assert below(one(spans, stage), request), stage
    model = values(one(spans, "chat talker"))
    assert model["gen_ai.operation.name"] == "chat"
    assert model["gen_ai.request.model"] == "talker"
    assert model["gen_ai.usage.input_tokens"] == usage["prompt_tokens"] > 0
    assert model["gen_ai.usage.output_tokens"] == usage["completion_tokens"] > 0


def test_a_task_and_what_is_learned_from_it_are_one_trace(
    client: httpx.Client, exporter: InMemorySpanExporter
) -> None:
    """From the request over two durable jobs: the way is kept with each job."""
    body = {"world": "household", "site": "maple 41", "wait": "learned"}
    task = client.post("/v1/tasks", json=body).json()
    spans = ours(exporter, "POST /v1/tasks", "invoke_agent apprentice", "learn", "reflect")
    request, work = one(spans, "POST /v1/tasks"), one(spans, "invoke_agent apprentice")
    learn = one(spans, "learn")
    assert below(work, request)
    assert below(learn, work)
    episode = "ep_" + task["id"].removeprefix("task_")
    assert values(work)["gen_ai.operation.name"] == "invoke_agent"
    assert values(work)["gen_ai.conversation.id"] == values(learn)["gen_ai.conversation.id"] == episode
    recall = one(spans, "recall")
    assert below(recall, work)
    assert values(recall)["gen_ai.operation.name"] == "retrieval"
    calls = [span for span in spans if span.name == "chat looker"]
    tools = [span for span in spans if span.name.startswith("execute_tool")]
    assert len(calls) == len(tools) == task["steps"]
    assert all(below(span, work) for span in (*calls, *tools))
    spent = sum(int(str(values(span)["gen_ai.usage.input_tokens"])) for span in calls)
    assert spent == task["usage"]["prompt_tokens"]
    assert {values(span)["gen_ai.tool.name"] for span in tools} == {"act"}
    assert below(one(spans, "reflect"), learn)


def test_what_was_said_is_in_no_span(client: httpx.Client, exporter: InMemorySpanExporter) -> None:
    """Content is off by default; so are the words of what is refused."""
    chat = {"model": "talker", "messages": [{"role": "user", "content": SAID}]}
    client.post("/v1/chat/completions", json=chat)
    client.post("/v1/tasks", json={"world": "tools", "text": SAID, "model": "talker", "wait": "finished"})
    client.post("/v1/chat/completions", json={**chat, "model": f"no/such {SAID}"})
    told = "".join(span.to_json() for span in ours(exporter, "POST /v1/chat/completions", "POST /v1/tasks"))
    assert "chat talker" in told
    assert "blue pot" not in told
    assert client.headers["Authorization"].partition(" ")[2] not in told


def test_a_line_of_the_log_names_its_trace(client: httpx.Client) -> None:
    """So that one leads to the other."""
    stream = io.StringIO()
    handler, log = logging.StreamHandler(stream), logging.getLogger("apprentice.requests")
    handler.setFormatter(logs.JsonLines())
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        client.get("/v1/tasks")
        until = time.monotonic() + 60.0  # it is written once the answer has left
        while not stream.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
    assert ABOVE.split("-")[1] in stream.getvalue()


def test_off_it_imports_nothing(tmp_path: Path) -> None:
    """Unless the setting says to whom."""
    code = (
        "import sys; from server.settings import Settings; from server.wiring import tracer_of;"
        f"t = tracer_of(Settings(data_dir={str(tmp_path)!r}));"
        "print(t.is_on, 'opentelemetry.sdk' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_setting_or_a_variable_turns_it_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As everything of OpenTelemetry is told."""
    from server.wiring import tracer_of

    on = tracer_of(Settings(data_dir=tmp_path, otel_endpoint="http://127.0.0.1:9", otel_content=True))
    assert (on.is_on, on.shows_content) == (True, True)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert tracer_of(Settings(data_dir=tmp_path)).is_on


def test_content_is_told_where_the_operator_says_so() -> None:
    """Of models and of tools."""
    from agent.types import Reply
    from memory.types import Message
    from server.genai import of_replies, of_step

    reply = Reply(Message("assistant", SAID))
    assert SAID in str(of_replies([reply], shows_content=True))
    assert SAID not in str(of_replies([reply], shows_content=False))
    entry = {"value": {"call": {"id": "c1", "name": "look"}, "result": {"observation": {"text": SAID}}}}
    assert SAID in str(of_step("tool", entry, "m", shows_content=True))
    assert SAID not in str(of_step("tool", entry, "m", shows_content=False))
