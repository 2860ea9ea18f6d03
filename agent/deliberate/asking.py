"""How roles are asked: on one's own words, about another's, for JSON, for a choice; and what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.deliberate.mechanism import Rounds, Stop, spoken
from agent.models.schema import Unreadable, checked_json, repair_request
from agent.types import Ask, Reply, Request
from memory.types import Image, Json, Message, Text, Usage


@dataclass(slots=True)
class Counted:
    """An ask that adds up what it costs; an `Ask` itself."""

    ask: Ask
    usage: Usage = field(default_factory=Usage)

    async def __call__(self, request: Request) -> tuple[Reply, ...]:
        """As the ask behind it."""
        replies = await self.ask(request)
        self.usage += sum((reply.usage for reply in replies), Usage())
        return replies

    def up_to(self, calls: int) -> Stop:
        """Enough after so many answers of models."""

        def is_spent(_: Rounds) -> str | None:
            return f"{calls} calls" if self.usage.calls >= calls else None

        return is_spent


def again(request: Request, *said: Message, n: int = 1, temperature: float | None = None) -> Request:
    """The same question, with what was said since; tools stay."""
    warm = request.temperature if temperature is None else temperature
    return replace(request, messages=(*request.messages, *said), n=n, temperature=warm)


def draft(message: Message) -> Message:
    """An answer as its writer may be shown it: in words, for calls that nobody ran have no result."""
    return Message("assistant", spoken(message))


def about(request: Request, told: str, *, n: int = 1, temperature: float = 0.0) -> Request:
    """A question about the conversation of `request`, which is told as a story; images stay, tools do not."""
    lines = [f"{one.role}: {spoken(one)}" for one in request.messages]
    images = [
        part
        for one in request.messages
        if not isinstance(one.content, str)
        for part in one.content
        if isinstance(part, Image)
    ]
    words = "\n".join([*lines, "", told])
    message = Message("user", (Text(words), *images) if images else words)
    return Request(
        (message,),
        n=n,
        temperature=temperature,
        max_tokens=request.max_tokens,
        seed=request.seed,
    )


async def words_of(ask: Ask, request: Request) -> tuple[str, ...]:
    """The texts of the answers."""
    return tuple([reply.message.text.strip() for reply in await ask(request)])


async def json_of(ask: Ask, request: Request, schema: Mapping[str, Json]) -> dict[str, Json] | None:
    """A JSON object of the schema; one that cannot be read is asked for once more, then it is None."""
    request = replace(request, schema=schema, n=1)
    for _ in range(2):
        (reply,) = await ask(request)
        try:
            value = checked_json(reply.message.text, schema)
        except Unreadable as error:
            mend = Message("user", repair_request(error, schema, ()))
            request = replace(request, messages=(*request.messages, draft(reply.message), mend))
            continue
        return value if isinstance(value, dict) else None
    return None


async def picked(ask: Ask, request: Request, choices: Sequence[str], *, votes: int = 1) -> int:
    """Index of the choice that a model is forced to make; the most frequent of several, ties to the first."""
    wanted = replace(request, choices=tuple(choices), tools=(), schema=None, n=votes)
    made = Counter(reply.choice for reply in await ask(wanted) if reply.choice is not None)
    return made.most_common(1)[0][0] if made else 0


async def is_kept(ask: Ask, request: Request, told: str) -> bool:
    """Whether a model keeps what it is told of: a forced choice."""
    return await picked(ask, about(request, f"{told}\nKeep it?"), ("yes", "no")) == 0
