"""Secrets blotted out of an episode before it is kept. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from memory.types import Episode, Image, Json, Message, Text, ToolSpec
from memory.writing.secrets import redacted


def without_secrets(episode: Episode) -> Episode:
    """The episode with `[secret: kind]` for every secret in task, messages, calls, tools, feedback and query.

    Images stay as they are, large ones by their digest alone. Idempotent: what is recorded twice is compared
    as it was kept.
    """
    recall = episode.recall
    if recall is not None:
        recall = replace(recall, query=replace(recall.query, text=redacted(recall.query.text)))
    return replace(
        episode,
        task=redacted(episode.task),
        messages=tuple(map(_cleaned, episode.messages)),
        feedback={name: _blotted(value) for name, value in episode.feedback.items()},
        error=None if episode.error is None else redacted(episode.error),
        recall=recall,
        tools=tuple(map(_described, episode.tools)),
    )


def _cleaned(message: Message) -> Message:
    calls = tuple(
        replace(call, arguments=cast(dict[str, Json], _blotted(call.arguments)))
        for call in message.tool_calls
    )
    if isinstance(message.content, str):
        content: str | tuple[Text | Image, ...] = redacted(message.content)
    else:
        content = tuple(
            replace(part, text=redacted(part.text)) if isinstance(part, Text) else part.kept
            for part in message.content
        )
    rule = None if message.rule is None else redacted(message.rule)
    if (content, calls, rule) == (message.content, message.tool_calls, message.rule):
        return message
    # Places in a text that has changed mean nothing.
    spans = message.spans if content == message.content else ()
    return replace(message, content=content, tool_calls=calls, spans=spans, rule=rule)


def _described(tool: ToolSpec) -> ToolSpec:
    parameters = cast(dict[str, Json], _blotted(dict(tool.parameters)))
    return replace(tool, description=redacted(tool.description), parameters=parameters)


def _blotted(value: Json) -> Json:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, list):
        return [_blotted(one) for one in value]
    if isinstance(value, dict):
        return {redacted(name): _blotted(one) for name, one in value.items()}
    return value
