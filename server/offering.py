"""What the server offers other agents as tools: its routes, under the same keys, roles and namespaces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Response
from pydantic import BaseModel, ValidationError

from agent.types import ANSWER_TOOL
from memory.errors import BadInput
from memory.types import Json
from server.access import permit, rule_of
from server.auth import Identity
from server.deps import check_worker
from server.routes import constitution, episodes, memory, tasks
from server.schemas.constitution import ConstitutionOut
from server.schemas.mcp import ConstitutionArguments, RecallArguments, RememberArguments, TaskArguments
from server.schemas.memory import ItemIn, RememberRequest, SearchRequest
from server.schemas.tasks import TaskOut, TaskRequest
from server.services import Core, Services

Form = TypeVar("Form", bound=BaseModel)
Answer = tuple[str, dict[str, Json]]
"""In words, and as data."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of one caller."""

    services: Services
    core: Core
    caller: Identity


@dataclass(frozen=True, slots=True)
class Offer:
    """One tool."""

    description: str
    arguments: type[BaseModel]
    run: Callable[[Asked, Mapping[str, Json]], Awaitable[Answer]]
    route: tuple[str, str]
    """Method and path of what it does: who may call that may call this."""
    read_only: bool = False
    """Does it change nothing?"""
    works: bool = False
    """Does it set agents to work?"""

    def admit(self, caller: Identity) -> None:
        """Raises Denied for who may not call it."""
        permit(caller, rule_of(*self.route))
        if self.works:
            check_worker(caller)


async def _recall(asked: Asked, arguments: Mapping[str, Json]) -> Answer:
    said = _read(RecallArguments, arguments)
    body = SearchRequest(query=said.query, family=said.family, k=said.k)
    found = await memory.search(body, asked.core, asked.caller)
    rows: list[Json] = [
        {
            "id": hit.item.id,
            "kind": hit.item.kind,
            "text": hit.item.text,
            "outcome": hit.item.outcome,
            "channel": hit.item.channel,
            "score": hit.score.total,
        }
        for hit in found.hits
    ]
    text = "\n\n".join(f"[{hit.item.id}] {hit.item.text}" for hit in found.hits)
    return text or "nothing is remembered about that.", {"items": rows}


async def _remember(asked: Asked, arguments: Mapping[str, Json]) -> Answer:
    said = _read(RememberArguments, arguments)
    item = ItemIn(kind=said.kind, text=said.text, family=said.family, source=said.source)
    kept = await memory.remember(RememberRequest(items=[item]), asked.core, asked.caller)
    ids: list[Json] = [one.id for one in kept.data]
    return f"remembered as {', '.join(map(str, ids))}", {"items": ids}


async def _constitution(asked: Asked, arguments: Mapping[str, Json]) -> Answer:
    said = _read(ConstitutionArguments, arguments)
    found = await constitution.get_constitution(asked.core, asked.caller, said.family, form="json")
    text = await constitution.get_constitution(asked.core, asked.caller, said.family, form="markdown")
    assert isinstance(found, ConstitutionOut)
    assert isinstance(text, Response)
    return bytes(text.body).decode(), found.model_dump(mode="json")


async def _task(asked: Asked, arguments: Mapping[str, Json]) -> Answer:
    said = _read(TaskArguments, arguments)
    if said.id is not None:
        task = await tasks.get_task(said.id, asked.core, asked.caller)
    else:
        body = TaskRequest(
            text=said.text,
            family=said.family,
            model=said.model,
            wait="finished" if said.wait_s else "accepted",
            wait_s=said.wait_s or 1.0,
        )
        task = await tasks.submit(body, Response(), asked.core, asked.services, asked.caller)
    answer = await _answer(asked, task)
    words = f"task {task.id} is {task.state}, outcome {task.outcome or 'unknown yet'}"
    words += f": {task.error}" if task.error else ""
    return f"{words}\n\n{answer}" if answer else words, {**task.model_dump(mode="json"), "answer": answer}


async def _answer(asked: Asked, task: TaskOut) -> str | None:
    """What the agent said at the end."""
    if task.outcome is None:
        return None
    episode = await episodes.get_episode(task.episode, asked.core, asked.caller)
    for message in reversed(episode.messages):
        for call in message.tool_calls:
            if call.name == ANSWER_TOOL:
                return str(call.arguments.get("answer", ""))
        if message.kind == "answer":
            return message.text
    return None


def _read(form: type[Form], arguments: Mapping[str, Json]) -> Form:
    try:
        return form.model_validate(dict(arguments))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "arguments"
        raise BadInput(f"{place}: {first['msg']}") from error


OFFERS: Mapping[str, Offer] = {
    "recall": Offer(
        "Ask memory what is known about a situation: cases, procedures, notes on tools. Changes nothing.",
        RecallArguments,
        _recall,
        ("POST", "/v1/memory/search"),
        read_only=True,
    ),
    "constitution": Offer(
        "The principles in force, learned from experience or written by an operator. Changes nothing.",
        ConstitutionArguments,
        _constitution,
        ("GET", "/v1/constitution"),
        read_only=True,
    ),
    "remember": Offer(
        "Keep something in memory for later; it is found by `recall`.",
        RememberArguments,
        _remember,
        ("POST", "/v1/memory"),
    ),
    "task": Offer(
        "Give this server's agent a task in words and wait for its end, or look at one by its id. What it"
        " does is recorded and learned from.",
        TaskArguments,
        _task,
        ("POST", "/v1/tasks"),
        works=True,
    ),
}
