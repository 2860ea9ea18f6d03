"""The model behind everybody: answers at once after so many seconds, always the same.

python -m notebooks.bench_server.upstream PORT SECONDS
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvicorn

ANSWER = "The candle is on shelf 3, behind the jar."
_USAGE = {"prompt_tokens": 40, "completion_tokens": 11, "total_tokens": 51}
_WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "bench",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
    "usage": _USAGE,
}
_HEADERS = [(b"content-type", b"application/json")]


def answering(seconds: float) -> Any:
    """An ASGI application: every POST is a chat, everything else says that it is there."""
    whole = json.dumps(_WHOLE).encode()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        if scope["method"] == "POST":
            await asyncio.sleep(seconds)
        body = whole if scope["method"] == "POST" else b"{}"
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    uvicorn.run(
        answering(float(sys.argv[2])),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="error",
        lifespan="off",
    )
