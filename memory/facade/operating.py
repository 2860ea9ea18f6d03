"""What operators set for a whole namespace, and by what they see that it still learns."""

from __future__ import annotations

from collections.abc import Mapping

from memory.dials import DialName, Dials, position
from memory.errors import Denied
from memory.facade.housekeeping import Housekeeping
from memory.pulse import Pulse
from memory.store.dials import Turned, turn
from memory.store.pulse import pulse, sizes
from memory.types import Channel, ItemKind, Json, Status
from memory.writing.admission import check_name


class Operating(Housekeeping):
    """The part of `Memory` that operators steer and watch by."""

    def dials(self, namespace: str) -> Dials:
        """How the dials of a namespace stand."""
        check_name("namespace", namespace)
        with self._store.read() as reader:
            return Turned(reader.connection).dials(namespace)

    def turn(self, namespace: str, name: DialName, value: Json, *, principal: str, channel: Channel) -> Dials:
        """Put a dial at a value, None for where it came from; the log says who turned it.

        Raises Denied for anybody but an operator, BadInput on a value that the dial does not have.
        """
        author = self._author(namespace, principal, channel)
        if channel != "operator":
            raise Denied(f"dials are turned by operators, not by {channel!r}")
        value = position(name, value)
        return self._store.write(lambda writer: turn(writer, author, name, value))

    def witness(self, namespace: str, act: Mapping[str, Json], *, principal: str) -> int:
        """Write down what somebody did beside memory, e.g. to a key; returns its position in the log."""
        check_name("namespace", namespace)
        check_name("principal", principal)
        at, after = self._clock(), dict(act)
        return self._store.write(
            lambda writer: writer.append(namespace, principal, "act", at=at, after=after)
        )

    def sizes(self, namespace: str) -> Mapping[tuple[ItemKind, Status], int]:
        """Items by kind and status; counts them all."""
        check_name("namespace", namespace)
        with self._store.read() as reader:
            return sizes(reader.connection, namespace)

    def pulse(self, namespace: str, *, since: float | None) -> Pulse:
        """When a namespace last learned, and what it spent on episodes that ended after `since`.

        None leaves the spending out, which has to read many episodes.
        """
        check_name("namespace", namespace)
        with self._store.read() as reader:
            return pulse(reader.connection, namespace, since)
