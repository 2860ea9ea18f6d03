"""Somebody who is told over HTTP, on this machine, and answers as it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Told:
    """One request."""

    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def said(self) -> Any:
        return json.loads(self.body)

    def verified(self, secret: str) -> Any:
        """As the scheme's own library reads it. Raises WebhookVerificationError."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """Keeps what came, in order. `answers` are used up one by one; then it is 204."""

    url: str
    answers: list[int] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, is_enough: Callable[[list[Told]], bool]) -> list[Told]:
        """Until enough has come."""
        with self.news:
            assert self.news.wait_for(lambda: is_enough(self.told), 30.0), self.told
            return list(self.told)

    def of(self, kind: str, n: int = 1) -> list[Told]:
        """The first so many of a type."""
        found = self.wait(lambda told: sum(one.said["type"] == kind for one in told) >= n)
        return [one for one in found if one.said["type"] == kind]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            with receiver.news:
                receiver.told.append(Told({k.lower(): v for k, v in self.headers.items()}, body))
                status = receiver.answers.pop(0) if receiver.answers else 204
                receiver.news.notify_all()
            self.send_response(status)
            if status == 302:
                self.send_header("location", receiver.url)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/told")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
