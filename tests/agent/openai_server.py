"""A real HTTP server on the loopback that speaks OpenAI's chat format from a script of answers."""

import contextlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from memory.types import Json


@dataclass(frozen=True)
class Scripted:
    """One HTTP answer: a body, or server-sent events when `events` are given."""

    status: int = 200
    body: Json = None
    text: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    events: tuple[Json, ...] = ()
    hold: threading.Event | None = None
    """Answered only once this is set."""


def says(*texts: str, calls: list[Json] | None = None, finish: str = "stop") -> Scripted:
    """A chat completion with these choices."""
    choices: list[Json] = [
        {
            "index": index,
            "message": {"role": "assistant", "content": text or None, "tool_calls": calls},
            "finish_reason": finish,
        }
        for index, text in enumerate(texts)
    ]
    usage: Json = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return Scripted(body=_whole("chat.completion", choices, usage))


def streams(*pieces: Json, finish: str = "stop") -> Scripted:
    """The deltas of a streamed completion, then its finish and its usage."""
    deltas: list[Json] = [[{"index": 0, "delta": piece, "finish_reason": None}] for piece in pieces]
    ends: list[Json] = [[{"index": 0, "delta": {}, "finish_reason": finish}]]
    usage: Json = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    chunks = [_whole("chat.completion.chunk", choices, None) for choices in deltas + ends]
    return Scripted(events=(*chunks, _whole("chat.completion.chunk", [], usage)))


def fails(status: int, message: str = "no", **headers: str) -> Scripted:
    """An error in OpenAI's format."""
    body: Json = {"error": {"message": message, "type": "error", "code": None}}
    return Scripted(status, body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def _whole(kind: str, choices: Json, usage: Json) -> Json:
    return {"id": "c1", "object": kind, "created": 1, "model": "test", "choices": choices, "usage": usage}


class Service:
    """The server; `requests` are the bodies it was sent, `headers` go with them."""

    way = "direct"
    """How it is to be called, where a test knows several."""

    def __init__(self) -> None:
        self.script: list[Scripted] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                service.requests.append(json.loads(self.rfile.read(length)))
                service.headers.append({name.lower(): value for name, value in self.headers.items()})
                answer = service.script.pop(0) if service.script else fails(418, "the script is over")
                if answer.hold is not None:
                    answer.hold.wait(10)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # callers may give up
                    self._answer(answer)

            def _answer(self, answer: Scripted) -> None:
                if answer.events:
                    lines = [f"data: {json.dumps(event)}\n\n" for event in answer.events]
                    data, kind = "".join([*lines, "data: [DONE]\n\n"]).encode(), "text/event-stream"
                else:
                    data = (answer.text if answer.text is not None else json.dumps(answer.body)).encode()
                    kind = "application/json"
                self.send_response(answer.status)
                for name, value in {"content-type": kind, **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                """Be quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
