"""What traces say of models, tools and agents, by OpenTelemetry's GenAI conventions. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent.types import Reply
from memory.codec import from_json
from memory.errors import BadInput
from memory.types import Json, Usage
from server.tracing import Value

_PROVIDERS = {"local": "apprentice", "hosted_vllm": "vllm", "gemini": "gcp.gemini", "bedrock": "aws.bedrock"}


def of_call(model: str) -> dict[str, Value]:
    """A call of a model, before it is answered."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        "gen_ai.provider.name": provider_of(model),
    }


def of_replies(replies: Sequence[Reply], *, shows_content: bool) -> dict[str, Value]:
    """What a model answered: its tokens, why it ended; its words only where content may be shown."""
    usage = sum((reply.usage for reply in replies), Usage())
    told: dict[str, Value] = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.response.finish_reasons": [reply.finish for reply in replies],
        "apprentice.usage.cost_usd": usage.cost_usd,
    }
    if model := next((reply.model for reply in replies if reply.model), ""):
        told |= {"gen_ai.response.model": model}
    if shows_content:
        said = [{"role": "assistant", "content": reply.message.text} for reply in replies]
        told["gen_ai.output.messages"] = json.dumps(said, ensure_ascii=False)
    return told


def of_step(stage: str, done: Json, model: str, *, shows_content: bool) -> tuple[str, dict[str, Value]]:
    """What a recorded step of a task's journal tells of itself, and what it is called."""
    entry: Any = done if isinstance(done, dict) else {}
    if "error" in entry:
        return stage, {"error.type": str(entry["error"][0])}
    value: Any = entry.get("value") or {}
    if stage == "model":
        return _of_model(value, model, shows_content=shows_content)
    if stage == "tool":
        return _of_tool(value, shows_content=shows_content)
    if stage == "recall":
        return "recall", {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "memory"}
    return stage, {}


def provider_of(model: str) -> str:
    """Who answers.

    >>> provider_of("local:tiny"), provider_of("openai/gpt-5"), provider_of("hosted_vllm/qwen")
    ('apprentice', 'openai', 'vllm')
    """
    name = model.partition(":")[0] if model.startswith("local:") else model.partition("/")[0]
    return _PROVIDERS.get(name, name)


def _of_model(value: Mapping[str, Any], model: str, *, shows_content: bool) -> tuple[str, dict[str, Value]]:
    result = value.get("result")
    try:
        replies = [from_json(Reply, one) for one in (result if isinstance(result, list) else [result])]
    except BadInput:
        return f"chat {model}", of_call(model)
    name = model or replies[0].model
    return f"chat {name}".strip(), {**of_call(name), **of_replies(replies, shows_content=shows_content)}


def _of_tool(value: Mapping[str, Any], *, shows_content: bool) -> tuple[str, dict[str, Value]]:
    call, done = value.get("call") or {}, value.get("result") or {}
    name = str(call.get("name", ""))
    told: dict[str, Value] = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    if "id" in call:
        told["gen_ai.tool.call.id"] = str(call["id"])
    if verdict := (done.get("verdict") or {}).get("action"):
        told["apprentice.verdict"] = str(verdict)
    if shows_content:
        told["gen_ai.tool.call.result"] = str((done.get("observation") or {}).get("text", ""))
    return f"execute_tool {name}".strip(), told
