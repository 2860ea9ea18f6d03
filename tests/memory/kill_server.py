"""Forks a process per kill, so that each costs no import: one JSON line in, one JSON line out."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from memory.codec import from_json, to_json
from memory.core import Memory
from memory.types import Item
from memory.writing.admission import check_secrets
from tests.memory.soundness import half_there, namespaces, state_of, uncredited, unsound
from tests.memory.tripwire import UNNAMED, Tripwire
from tests.memory.workloads import LIAR, STEPS, case, crowd, opened, remember, scratch, told

SCENARIOS = STEPS | {"liar": LIAR}


@dataclass
class Report:
    """What one kill, or one run without, showed."""

    is_killed: bool
    acknowledged: int
    problems: list[str]
    events: int = 0
    named: dict[str, int] | None = None
    kills: int = 0


def main() -> None:
    """Serve until the input ends."""
    logging.disable(logging.WARNING)
    warm_up()
    root = scratch("kills")
    try:
        for line in sys.stdin:
            order = json.loads(line)
            folder = Path(tempfile.mkdtemp(dir=root))
            report = (
                _crowded(folder, order) if order["scenario"] == "crowd" else _stepped(root, folder, order)
            )
            shutil.rmtree(folder)
            sys.stdout.write(json.dumps(asdict(report)) + "\n")
            sys.stdout.flush()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def warm_up() -> None:
    """What is loaded at its first use is loaded here, once for all forks."""
    check_secrets(["nothing"])
    import_module("alembic.command")


# Forks


def forked(run: Callable[[], object], after_ms: float | None = None) -> bool:
    """Run it in a process of its own; True when that was killed. Raises RuntimeError when it failed."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            run()
            code = 0
        except BaseException:  # noqa: BLE001 - the child must end here, whatever it met
            traceback.print_exc()
        finally:
            os._exit(code)
    if after_ms is not None:
        time.sleep(after_ms / 1000.0)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError("the process failed, see above")
    return False


def answered(run: Callable[[], Any], place: Path) -> Any:
    """What it returns in a process of its own."""
    place.unlink(missing_ok=True)
    forked(lambda: place.write_text(json.dumps(run()), encoding="utf-8"))
    return json.loads(place.read_text(encoding="utf-8"))


def work(folder: Path, order: dict[str, Any], run: Callable[[Callable[..., None]], None]) -> bool:
    """Let it run under the wire of an order; True when it was killed."""
    descriptor = os.open(folder / "told.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(**what: object) -> None:
        os.write(descriptor, (json.dumps(what) + "\n").encode())

    def watched() -> None:
        wire = Tripwire(order.get("at"), order.get("name"), order.get("nth", 1))
        if "after_ms" not in order:
            wire.set()
        run(say)
        wire.unset()
        say(events=wire.seen.total(), named={k: n for k, n in wire.seen.items() if k not in UNNAMED})

    try:
        return forked(watched, order.get("after_ms"))
    finally:
        os.close(descriptor)


def _report(kills: int, lines: list[dict[str, Any]], problems: list[str]) -> Report:
    last = lines[-1] if lines else {}
    n = sum(not line.keys() & {"begun", "ready", "events"} for line in lines)
    return Report(kills > 0, n, problems, last.get("events", 0), last.get("named"), kills)


# Steps: the database after n acknowledged ones is that after n or n + 1, to the byte


def _stepped(root: Path, folder: Path, order: dict[str, Any]) -> Report:
    name = order["scenario"]
    shutil.copytree(_template(root, name), folder, dirs_exist_ok=True)
    is_killed = work(folder, order, partial(SCENARIOS[name].run, folder))
    lines = told(folder / "told.jsonl")
    n_done = sum("done" in line for line in lines)
    state, problems = answered(partial(_looked_at, folder, name, n_done), folder / "answer.json")
    allowed = _states(root, name)
    last = allowed[-1:] if SCENARIOS[name].is_resumed else allowed[n_done : n_done + 2]
    if state not in last:
        problems.append(f"after {n_done} steps the database is neither before nor after the next one")
    return _report(int(is_killed), lines, problems)


@cache
def _template(root: Path, name: str) -> Path:
    folder = root / f"template {name}"
    folder.mkdir()
    forked(partial(SCENARIOS[name].prepare, folder))
    return folder


@cache
def _states(root: Path, name: str) -> tuple[str, ...]:
    """The database after 0, 1, 2, … steps of a run that ended well."""
    folder = root / f"states {name}"
    shutil.copytree(_template(root, name), folder)
    states: list[str] = answered(partial(_lived_through, folder, name), folder / "answer.json")
    return tuple(states)


def _lived_through(folder: Path, name: str) -> list[str]:
    states = []

    def say(**_: object) -> None:
        states.append(state_of(folder / "memory.db"))

    replace(SCENARIOS[name], is_lying=False).run(folder, say)
    return states


def _looked_at(folder: Path, name: str, n_done: int) -> tuple[str, list[str]]:
    steps, path = SCENARIOS[name], folder / "memory.db"
    with opened(folder, steps.dim) as memory:
        if steps.is_resumed:
            for step in steps.steps[n_done:]:
                step(memory, folder)
        problems = unsound(memory, namespaces(path))
    return state_of(path), problems + half_there(path)


# A crowd: what was acknowledged is there whole, what was not is there whole or not at all


def _crowded(folder: Path, order: dict[str, Any]) -> Report:
    kills = 0
    for turn, change in enumerate(order.get("rounds", [{}])):
        kills += work(folder, order | change, partial(crowd, folder, seed=order["seed"] * 1000 + turn))
    lines = told(folder / "told.jsonl")
    problems = answered(partial(_missing, folder, lines), folder / "answer.json")
    return _report(kills, lines, problems)


def _missing(folder: Path, lines: list[dict[str, Any]]) -> list[str]:
    with opened(folder) as memory:
        problems = unsound(memory, ["home"])
        problems += uncredited(memory, folder / "memory.db", "home")
        for line in lines:
            problems += _lost(memory, line)
        texts = {item.text.removesuffix(" and more") for item in memory.items("home", limit=10_000)}
        texts = {text.split(" and more")[0] for text in texts}
        for line in lines:
            if len({text in texts for text in line.get("begun", ())}) == 2:
                problems.append(f"of {line['begun']} only a part is there")
    return problems + half_there(folder / "memory.db")


def _lost(memory: Memory, line: dict[str, Any]) -> list[str]:
    problems = []
    for data in line.get("items", ()):
        item = from_json(Item, data)
        history = memory.history("home", item.id)
        if not any(entry.version == item.version and entry.after == to_json(item) for entry in history):
            problems.append(f"acknowledged but not there: {item}")
    if "key" in line:
        drafts = [case(data["text"]) for data in line["items"]]
        if [item.id for item in remember(memory, *drafts, key=line["key"])] != [
            d["id"] for d in line["items"]
        ]:
            problems.append(f"another answer to {line['key']!r}")
    for word in ("episode", "credited", "feedback"):
        if word in line:
            problems += _lost_word(memory, word, line[word])
    return problems


def _lost_word(memory: Memory, word: str, id_: str) -> list[str]:
    episode = memory.episode("home", id_)
    if word == "feedback" and episode.feedback.get("seen") != id_:
        return [f"the feedback on {id_} is not there"]
    if word != "credited" or episode.recall is None:
        return []
    seen = [memory.get("home", one.item) for one in episode.recall.items if one.shown]
    return [f"{item.id} was not credited for {id_}" for item in seen if not item.utility.n]


if __name__ == "__main__":
    main()
