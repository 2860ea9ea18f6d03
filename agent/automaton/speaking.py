"""A model that speaks in segments, held to a specification: what may follow is forced, chosen, or looked up.

Source: Crouse et al. 2023 (arXiv 2310.08535), monitored decoding: exactly one label may follow, its marker is
put; several may, the model chooses among them; the world's are written by the world. Deviation: no tokens are
masked; a segment ends where any marker begins, so no text of the model's can hold one, whatever the model is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from agent.automaton.dfa import OTHER
from agent.automaton.syntax import Specification, specification
from agent.types import Ask, Request
from memory.errors import BadInput
from memory.types import Message

Look = Callable[[str, Sequence["Segment"]], Awaitable[str]]
"""What the world writes under a label, after these segments."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of an output."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Protocol:
    """How an output is laid out."""

    order: Specification
    markers: Mapping[str, str]
    """The words that open each label's segment."""
    of_world: frozenset[str] = field(default_factory=frozenset)
    """Labels that the world writes."""
    most: int = 40
    """Segments of one output."""

    def __post_init__(self) -> None:
        if missing := [label for label in self.order.labels if not self.markers.get(label)]:
            raise BadInput(f"the label {missing[0]!r} has no marker: give the words that open its segment")
        marks = sorted(self.markers.values())
        if clash := [pair for pair in pairwise(marks) if pair[1].startswith(pair[0])]:
            raise BadInput(
                f"the markers {clash[0][0]!r} and {clash[0][1]!r} cannot be told apart: change one"
            )
        if not self.order.is_closed:
            raise BadInput("an output needs rules of succession, `label: label | end`, for all its labels")
        if (least := self.order.automaton.to_end()[0]) > self.most:
            raise BadInput(f"{self.most} segments are too few: the shortest whole output has {least}")

    def written(self, segments: Sequence[Segment]) -> str:
        """Segments as text."""
        return "\n".join(f"{self.markers[one.label]} {one.text}".rstrip() for one in segments)

    def quoted(self, text: str) -> str:
        """A text of the world's in which no line opens a segment."""
        marks = tuple(self.markers.values())
        return "\n".join(f"| {line}" if line.startswith(marks) else line for line in text.splitlines())

    def read(self, text: str) -> tuple[Segment, ...]:
        """The segments of a text; what stands before the first marker is nobody's."""
        found: list[Segment] = []
        for line in text.splitlines():
            label = next((name for name, mark in self.markers.items() if line.startswith(mark)), None)
            if label is not None:
                found.append(Segment(label, line.removeprefix(self.markers[label]).strip()))
            elif found:
                found[-1] = replace(found[-1], text=f"{found[-1].text}\n{line}".strip())
        return tuple(found)


async def speak(request: Request, protocol: Protocol, ask: Ask, look: Look) -> tuple[Segment, ...]:
    """An output that keeps the protocol, whatever the model would rather say.

    It is whole, within `most` segments: what no end could be reached from in time is not offered. Raises what
    `ask` and `look` raise.
    """
    order, segments, state = protocol.order.automaton, list[Segment](), 0
    to_end = order.to_end()
    while True:
        room, moves = protocol.most - len(segments) - 1, order.moves[state]
        labels = [label for label in moves if label != OTHER and to_end[moves[label]] <= room]
        if not labels:
            break
        label = await _label(request, protocol, ask, segments, labels, is_end=state in order.ends)
        if label is None:
            break
        if label in protocol.of_world:
            text = protocol.quoted(await look(label, segments))
        else:
            text = await _text(request, protocol, ask, segments, label)
        segments.append(Segment(label, text))
        state = moves[label]
    return tuple(segments)


async def _label(
    request: Request,
    protocol: Protocol,
    ask: Ask,
    segments: Sequence[Segment],
    labels: Sequence[str],
    *,
    is_end: bool,
) -> str | None:
    """Which comes next; None where the model would rather end and may."""
    if len(labels) == 1 and not is_end:
        return labels[0]
    choices = tuple(protocol.markers[label] for label in labels) + (("(end)",) if is_end else ())
    (reply,) = await ask(_after(request, protocol, segments, "", choices=choices))
    chosen = 0 if reply.choice is None else reply.choice
    return labels[chosen] if chosen < len(labels) else None


async def _text(
    request: Request, protocol: Protocol, ask: Ask, segments: Sequence[Segment], label: str
) -> str:
    marks = tuple(protocol.markers.values())
    wanted = _after(request, protocol, segments, protocol.markers[label])
    (reply,) = await ask(replace(wanted, stop=(*wanted.stop, *marks)))
    text = reply.message.text
    # Not every host knows stops; what comes behind a marker is the monitor's to allow.
    cut = min((at for mark in marks if (at := text.find(mark)) >= 0), default=len(text))
    return text[:cut].strip()


def _after(
    request: Request,
    protocol: Protocol,
    segments: Sequence[Segment],
    opened: str,
    choices: tuple[str, ...] = (),
) -> Request:
    said = "\n".join(part for part in (protocol.written(segments), opened) if part)
    begun = (Message("assistant", said),) if said else ()
    return replace(request, messages=(*request.messages, *begun), tools=(), schema=None, choices=choices)


def protocol_of(text: str) -> Protocol:
    r"""The protocol of a specification: a label's segment is opened by its name, `To do:` for `to_do`.

    Raises BadInput on text that is no specification, on one that nothing fulfils, and on formulas alone;
    TooLarge when it needs too many states.

    >>> protocol_of("start: claim\nclaim: to_do\nto_do: end").markers
    {'claim': 'Claim:', 'to_do': 'To do:'}
    """
    order = specification(text)
    return Protocol(order, {one: f"{one.replace('_', ' ').capitalize()}:" for one in order.labels})


def read_protocol(path: Path) -> Protocol:
    """The protocol that a file holds. Raises BadInput, naming the file, and TooLarge."""
    try:
        return protocol_of(path.read_text("utf-8"))
    except OSError as error:
        raise BadInput(f"the file of a protocol {str(path)!r} cannot be read: {error}") from error
    except BadInput as error:
        raise BadInput(f"{str(path)!r}: {error}") from error
