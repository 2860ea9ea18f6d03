"""When a cron expression comes due in a time zone. Pure.

By the wall clock of the zone: an hour that is skipped fires right after it, one that comes twice fires once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from memory.errors import BadInput

FIELDS = 5
MOST_MISSED = 100
"""Times that are looked at between two looks; of more the newest count."""


def check_cron(cron: str, zone: str) -> None:
    """Raises BadInput."""
    from croniter import croniter  # needed with the first schedule alone

    if len(cron.split()) != FIELDS or not croniter.is_valid(cron):
        raise BadInput(f"{cron!r} is no cron expression of five fields, such as '0 9 * * mon-fri'")
    _zone(zone)
    next(_times(cron, zone, 0.0))


def next_time(cron: str, zone: str, after: float) -> float:
    """The first time after a moment, in seconds since 1970. Raises BadInput where none comes."""
    return next(_times(cron, zone, after))


def due_times(cron: str, zone: str, after: float, until: float) -> tuple[float, ...]:
    """All times after one moment up to another, the newest `MOST_MISSED` of them."""
    found: list[float] = []
    for at in _times(cron, zone, after):
        if at > until:
            break
        found.append(at)
        if len(found) > 2 * MOST_MISSED:
            del found[:MOST_MISSED]
    return tuple(found[-MOST_MISSED:])


def _times(cron: str, zone: str, after: float) -> Iterator[float]:
    from croniter import CroniterError, croniter

    # Told the wall clock without a zone: what the zone makes of it is decided here alone.
    wall = datetime.fromtimestamp(after, _zone(zone)).replace(tzinfo=None)
    times = croniter(cron, wall)
    last = after
    while True:
        try:
            at = _moment(times.get_next(datetime), zone)
        except CroniterError as error:
            raise BadInput(f"{cron!r} never comes: {error}") from None
        if at > last:
            last = at
            yield at


def _moment(wall: datetime, zone: str) -> float:
    # Of a time that is skipped Python tells the moment that lies as far behind the gap.
    return wall.replace(tzinfo=_zone(zone), fold=0).astimezone(UTC).timestamp()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput(f"{name!r} is no time zone of the IANA list, such as 'Europe/Oslo'") from None
