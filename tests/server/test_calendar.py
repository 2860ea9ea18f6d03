"""When a cron expression comes due."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from memory.errors import BadInput
from server.calendar import MOST_MISSED, check_cron, due_times, next_time

OSLO = ZoneInfo("Europe/Oslo")


def at(text: str, zone: ZoneInfo | None = None) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone or UTC).timestamp()


def told(moments: tuple[float, ...], zone: ZoneInfo | None = None) -> list[str]:
    return [datetime.fromtimestamp(one, zone or UTC).strftime("%d %H:%M") for one in moments]


def test_it_is_the_wall_clock_of_the_zone_that_counts() -> None:
    """Nine in Oslo is another moment in summer than in winter."""
    assert next_time("0 9 * * *", "Europe/Oslo", at("2026-01-10T00:00")) == at("2026-01-10T08:00")
    assert next_time("0 9 * * *", "Europe/Oslo", at("2026-07-10T00:00")) == at("2026-07-10T07:00")
    assert next_time("0 9 * * *", "UTC", at("2026-07-10T09:00")) == at("2026-07-11T09:00")


def test_an_hour_that_is_skipped_fires_after_it() -> None:
    """Clocks went from 02:00 to 03:00 on 29 March 2026: no day without its firing."""
    found = due_times("30 2 * * *", "Europe/Oslo", at("2026-03-28T00:00"), at("2026-03-30T12:00"))
    assert told(found, OSLO) == ["28 02:30", "29 03:30", "30 02:30"]


def test_an_hour_that_comes_twice_fires_once() -> None:
    """Clocks went from 03:00 back to 02:00 on 25 October 2026."""
    found = due_times("30 2 * * *", "Europe/Oslo", at("2026-10-24T00:00"), at("2026-10-26T12:00"))
    assert told(found, OSLO) == ["24 02:30", "25 02:30", "26 02:30"]
    # Also for whoever looks between the two.
    between = at("2026-10-25T00:45")
    assert told((next_time("30 2 * * *", "Europe/Oslo", between),), OSLO) == ["26 02:30"]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Oslo", "Australia/Lord_Howe", "America/Santiago"])
def test_times_only_ever_grow(zone: str) -> None:
    """However one steps through a year, no time comes twice, none lies behind."""
    after, end = at("2026-01-01T00:00"), at("2027-01-01T00:00")
    stepped = []
    while (coming := next_time("15 */6 * * *", zone, after)) < end:
        assert coming > after
        stepped.append(coming)
        after = coming
    assert abs(len(stepped) - 4 * 365) <= 1


def test_of_too_many_that_were_missed_the_newest_count() -> None:
    found = due_times("* * * * *", "UTC", at("2026-01-01T00:00"), at("2026-01-02T00:00"))
    assert len(found) == MOST_MISSED
    assert found[-1] == at("2026-01-02T00:00")


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        ("at noon", "UTC"),
        ("* * * *", "UTC"),
        ("* * * * * *", "UTC"),
        ("61 * * * *", "UTC"),
        ("0 0 31 2 *", "UTC"),
        ("0 0 * * *", "Mars/Olympus"),
        ("0 0 * * *", "../../etc/passwd"),
        ("0 0 * * *", ""),
    ],
)
def test_what_never_comes_is_refused(cron: str, zone: str) -> None:
    with pytest.raises(BadInput):
        check_cron(cron, zone)
