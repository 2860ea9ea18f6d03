"""Writes docs/bench/server.md from the raw results."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from notebooks.bench_learning.notes import Records
from notebooks.bench_learning.stage import table
from notebooks.bench_server.plan import MODES, PLACES, PROXY, UPSTREAM

HERE = Path(__file__).parent


def write(out: Path) -> None:
    """The report beside the folder of raw results, from what is there."""
    records = Records.of(out / "raw", "server")
    parts = [
        "# What the server adds",
        f"Written by `make bench-server`; the raw results are in `raw/server-*.jsonl`, one JSON object a "
        f"line. Python {platform.python_version()}, two cores for load, model, proxy and server together.",
        (HERE / "remarks.md").read_text(encoding="utf-8").strip(),
        "## What was asked for",
        table(("goal", "measured", "met"), [*_goals(records)]),
        "## A chat",
        *_chats(records),
        *_streams(records),
        *_soak(records),
        (HERE / "method.md").read_text(encoding="utf-8").strip(),
    ]
    (out / "server.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def added(records: Records, place: str, clients: int, what: str) -> list[float]:
    """Milliseconds over the bare upstream, round by round."""
    bare = {one["round"]: one[what] for one in records.where("chats", place=UPSTREAM, clients=clients)}
    theirs = records.where("chats", place=place, clients=clients)
    return [one[what] - bare[one["round"]] for one in theirs if one["round"] in bare]


def ratios(records: Records, place: str, clients: int, what: str) -> list[float]:
    """What ours adds over what LiteLLM's proxy adds in the same round."""
    ours, theirs = (added(records, one, clients, what) for one in (place, PROXY))
    return [mine / other for mine, other in zip(ours, theirs, strict=False) if other > 0]


def _levels(records: Records) -> list[int]:
    return sorted({one["clients"] for one in records.where("chats")})


def _goals(records: Records) -> Iterator[tuple[str, str, str]]:
    wanted = {"ours, memory on": "no more than", "ours, memory off": "less than"}
    for place, words in wanted.items():
        for clients in _levels(records):
            found = ratios(records, place, clients, "p50")
            if not found:
                continue
            goal = f"{place}: adds {words} LiteLLM's proxy (p50, {clients} at once)"
            yield goal, f"{_spread(found)} times", "yes" if statistics.median(found) <= 1 else "**no**"
    for one in records.where("streams")[-1:]:
        ok = one["heard_all_in_order"] == one["streams"] >= 1000
        yield (
            "1,000 idle followers of a task",
            f"{one['heard_all_in_order']:,} heard of the end",
            "yes" if ok else "**no**",
        )


def _chats(records: Records) -> Iterator[str]:
    for clients in _levels(records):
        rows = []
        for place in PLACES:
            found = records.where("chats", place=place, clients=clients)
            if not found:
                continue
            more = [added(records, place, clients, what) for what in ("p50", "p95")]
            rows.append(
                (
                    place,
                    *(_spread([one[what] for one in found]) for what in ("p50", "p95")),
                    *(("", "") if place == UPSTREAM else map(_spread, more)),
                    "" if place not in MODES else _spread(ratios(records, place, clients, "p50")),
                    _spread([one["per_s"] for one in found]),
                    str(sum(one["failures"] for one in found)),
                )
            )
        names = ("", "p50 ms", "p95 ms", "adds, p50", "adds, p95", "÷ proxy's, p50", "answers/s", "failed")
        yield f"### {clients} at once"
        yield table(names, rows)
    for one in records.where("stages")[-1:]:
        stages = ", ".join(f"{name} {ms:g}" for name, ms in one.items() if name != "what")
        yield f"Mean milliseconds by stage over all of ours, from `/metrics`: {stages}."


def _streams(records: Records) -> Iterator[str]:
    for one in records.where("streams")[-1:]:
        yield "## Followers that wait"
        yield (
            f"{one['streams']:,} followers of one task that waits for its model take "
            f"{one['rss_with'] - one['rss_before']:.0f} MiB ({one['rss_before']:.0f} before) and "
            f"{100 * one['idle_cpu']:.0f} % of a core while nothing happens. The task was cancelled in "
            f"{one['cancel_s']:g} s; all had heard of it, no event missing, after {one['all_heard_s']:g} s."
        )


def _soak(records: Records) -> Iterator[str]:
    looks = records.where("soak")
    if len(looks) < 4:
        return
    quarter = len(looks) // 4
    yield "## Half an hour"
    rows = [
        (
            name,
            str(looks[0][key]),
            *(
                f"{statistics.mean(one[key] for one in part):.1f}"
                for part in (looks[quarter : 2 * quarter], looks[-quarter:])
            ),
        )
        for name, key in (("resident MiB", "rss"), ("open files", "files"), ("threads", "threads"))
    ]
    failed = sum(one["failures"] for one in looks)
    minutes = looks[-1]["at_s"] / 60
    yield f"{looks[-1]['chats']:,} chats with memory on in {minutes:.0f} minutes, {failed} failed."
    yield table(("", "at first", "second quarter", "last quarter"), rows)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{statistics.median(values):.3g} ({min(values):.3g}–{max(values):.3g})"
