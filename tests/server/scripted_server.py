"""A server whose models are Python functions; run as a program, it is what the crash tests kill."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import threading
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import uvicorn

from agent.models.scripted import FunctionModel
from agent.types import Model
from memory.types import Message, ToolCall
from server.app import create_app
from server.services import Services
from server.settings import Settings
from server.wiring import Parts, build

MARKS = 5
"""Calls that `marker` makes."""
pondered = threading.Event()
"""Until this is set, `ponderer` reflects."""


def models(trace: Path | None = None) -> Mapping[str, Model]:
    """`looker`, `slow` and `ponderer` act and never get anywhere; `talker` chats, `caller` greets.

    `marker` calls the tool `mark` for its task, `dreamer` takes longer than anybody waits, `setter` writes
    as many new tasks as it is asked for and thinks well of all.
    """

    def looker(pause_s: float, name: str) -> FunctionModel:
        async def look(messages: tuple[Message, ...]) -> str:
            if messages[-1].text.startswith("reflect"):
                return _lesson(messages[-1].text)
            if trace is not None:
                with trace.open("a", encoding="utf-8") as lines:
                    lines.write(f"{len(messages)}\n")
            await asyncio.sleep(pause_s)
            return "hm. > look"

        return FunctionModel(look, name=name, style="plain")

    async def ponder(messages: tuple[Message, ...]) -> str:
        if messages[-1].text.startswith("reflect"):
            await asyncio.to_thread(pondered.wait, 20.0)
        return "hm. > look"

    return {
        "ponderer": FunctionModel(ponder, name="ponderer", style="plain"),
        "looker": looker(0.0, "looker"),
        "slow": looker(0.15, "slow"),
        "talker": FunctionModel(_talk, name="talker", style="full"),
        "obliging": FunctionModel(_oblige, name="obliging", style="full"),
        "caller": FunctionModel(_greet, name="caller", style="full"),
        "marker": FunctionModel(_mark, name="marker", style="full"),
        "dreamer": FunctionModel(_dream, name="dreamer", style="plain"),
        "setter": FunctionModel(_set, name="setter", style="full"),
    }


def _lesson(log: str) -> str:
    """A fact that the log bears out: the first place it names, with the line it is named in."""
    found = re.search(r"(\d+): you are at [\w ]+\. places: (\w+ \d+)", log)
    return f"fact: places {found[2]} ({found[1]})." if found else ""


def _talk(messages: tuple[Message, ...]) -> str | Message:
    last = messages[-1]
    if last.role == "tool":
        return f"the weather is {last.text}"
    if "weather" in last.text:
        return Message("assistant", "", tool_calls=(ToolCall("x", "weather", {"city": "Oslo"}),))
    if "count" in last.text:
        return "one two three"
    told = [m.text for m in messages if m.kind == "memory"]
    return f"I remember: {told[0]}" if told else f"you said: {last.text}"


def _oblige(messages: tuple[Message, ...]) -> str:
    return '{"state": "on"}' if "arguments of lamp" in messages[-1].text else "as you like"


def _greet(messages: tuple[Message, ...]) -> str | Message:
    last = messages[-1]
    if last.role == "tool":
        return f"it said: {last.text}"
    return Message("assistant", "", tool_calls=(ToolCall("x", "hall__greet", {"who": "Ann"}),))


async def _mark(messages: tuple[Message, ...]) -> str | Message:
    done = sum(message.role == "tool" for message in messages)
    if done == MARKS:
        return "done"
    await asyncio.sleep(0.1)
    (name,) = {found[1] for message in messages if (found := re.search(r"mark (\w+)", message.text))}
    return Message("assistant", "", tool_calls=(ToolCall("x", "mark", {"name": name, "n": done}),))


async def _dream(messages: tuple[Message, ...]) -> str:
    await asyncio.sleep(60.0)
    return "hm. > look"


def _set(messages: tuple[Message, ...]) -> str:
    text = messages[0].text
    wanted = re.search(r"Write (\d+) new tasks", text)
    if wanted is None:
        return '{"score": 0.9}'
    words = [sha256(f"{number} {text}".encode()).hexdigest() for number in range(int(wanted[1]))]
    return json.dumps({"tasks": [f"{one[:9]} {one[9:18]} {one[18:27]}" for one in words]})


async def mark(name: str, n: int) -> str:
    """Add a line to the file that the environment names: an effect that outlives the process."""
    with Path(os.environ["MARKS"]).open("a", encoding="utf-8") as lines:
        lines.write(f"{name} {n}\n")
    await asyncio.sleep(0.02)
    return "noted"


def make(settings: Settings, ready: Mapping[str, Model]) -> Services:
    """Services with models that exist already."""
    return build(settings, Parts(models=ready))


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--trace", type=Path, required=True)
    options = parser.parse_args()
    settings = Settings(data_dir=options.data, encoder="hash", model="looker", port=options.port)
    app = create_app(make(settings, models(options.trace)))
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
