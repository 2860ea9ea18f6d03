"""A server that speaks the part of vLLM's API that adapters need, with real weights behind it.

After vLLM 0.32: loading what is loaded and unloading what is not are errors with a JSON body, a model that
was not loaded is 404, tokens come as `token_id:N` where asked for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from agent.models.local.jobs import Generation
from agent.models.local.model import LocalModel


@dataclass
class FakeVllm:
    """Its state; `url` is where it listens."""

    base: Path
    url: str = ""
    takes_adapters: bool = True
    loaded: dict[str, LocalModel] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and body of one POST."""
        self.requests.append((path, body))
        if path == "/v1/load_lora_adapter" and self.takes_adapters:
            return self._load(body["lora_name"], Path(body["lora_path"]))
        if path == "/v1/unload_lora_adapter" and self.takes_adapters:
            return self._unload(body["lora_name"])
        if path == "/v1/completions":
            return self._complete(body)
        return 404, {"detail": "Not Found"}

    def _load(self, name: str, path: Path) -> tuple[int, Any]:
        if name in self.loaded:
            return 400, _error(f"The lora adapter '{name}' has already been loaded.", 400)
        if not (path / "adapter_config.json").exists():
            return 404, _error(f"Loading lora {name} failed: No adapter found for {path}", 404)
        self.loaded[name] = LocalModel.load(self.base, name=name, adapter=path)
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def _unload(self, name: str) -> tuple[int, Any]:
        if name not in self.loaded:
            return 404, _error(f"The lora adapter '{name}' cannot be found.", 404)
        self.loaded.pop(name).close()
        return 200, f"Success: LoRA adapter '{name}' removed successfully."

    def _complete(self, body: dict[str, Any]) -> tuple[int, Any]:
        model = self.loaded.get(body["model"])
        if model is None:
            return 404, _error(f"The model `{body['model']}` does not exist.", 404)
        assert body["ignore_eos"]
        assert body["temperature"] == 0
        assert body["return_tokens_as_token_ids"]
        job = Generation(body["prompt"], body["max_tokens"], frozenset())
        done = model._engine.generate(job).result()
        tokens = [f"token_id:{token}" for token in done.tokens]
        share = [done.logprob / len(tokens)] * len(tokens)
        told = {"tokens": tokens, "token_logprobs": share, "top_logprobs": None, "text_offset": []}
        return 200, {"object": "text_completion", "choices": [{"index": 0, "text": "", "logprobs": told}]}


@contextmanager
def serving(base: Path) -> Iterator[FakeVllm]:
    """Listens on a free port until the block ends."""
    fake = FakeVllm(base)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            status, body = fake.answer(self.path, json.loads(self.rfile.read(length)))
            text = body if isinstance(body, str) else json.dumps(body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        for model in fake.loaded.values():
            model.close()


def _error(message: str, code: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": "InvalidUserInput", "param": None, "code": code}}
