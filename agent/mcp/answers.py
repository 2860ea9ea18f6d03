"""What a server answers, as an observation. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from mcp_types import (
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from agent.models.schema import first_violation
from agent.tools import shortened
from agent.types import Observation
from memory.types import Image, Json

IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
MOST_IMAGES = 8
LARGEST_IMAGE = 8 * 1024 * 1024
"""Characters of base64."""


def observed(name: str, result: CallToolResult, output: Mapping[str, Json] | None) -> Observation:
    """Text, pictures and structured content; what breaks the promised form is an error.

    `output` is the schema of the structured content, if one was promised.
    """
    structured: Json = result.structured_content
    if output is not None and not result.is_error:
        violation = first_violation(structured, output)
        if violation:
            text = f"{name} did not answer in the form that it promises: {violation}. It may have been done."
            return Observation(shortened(text), ok=False)
    said = [_said(block) for block in result.content]
    images = _images(result.content)
    text = "\n".join(one for one in said if one)
    if not text and structured is not None:
        text = json.dumps(structured, ensure_ascii=False)
    if not text and not images:
        text = f"{name} failed." if result.is_error else f"{name} is done."
    return Observation(shortened(text), ok=not result.is_error, images=images)


def _said(block: ContentBlock) -> str:
    match block:
        case TextContent():
            return block.text
        case ImageContent():
            return "" if _is_shown(block) else f"[a picture of type {block.mime_type[:40]} is left out]"
        case EmbeddedResource(resource=TextResourceContents() as resource):
            return resource.text
        case ResourceLink() | EmbeddedResource():
            uri = block.uri if isinstance(block, ResourceLink) else block.resource.uri
            return f"[resource {uri}]"
        case _:
            return f"[{block.type} is left out]"


def _images(blocks: Sequence[ContentBlock]) -> tuple[Image, ...]:
    shown = [block for block in blocks if isinstance(block, ImageContent) and _is_shown(block)]
    return tuple(Image(f"data:{block.mime_type};base64,{block.data}") for block in shown[:MOST_IMAGES])


def _is_shown(block: ImageContent) -> bool:
    return block.mime_type in IMAGE_TYPES and len(block.data) <= LARGEST_IMAGE
