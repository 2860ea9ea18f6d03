"""What was erased is not on the disk: files are read as they lie there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from memory.core import Memory
from memory.types import Evidence, Message
from memory.writing.forgetting import Root

Saying = Any
SECRET = "Zanzibar Quixotic lives at Umbrellastreet"
WORDS = tuple(word for name in ("Zanzibar", "Quixotic", "Umbrellastreet") for word in (name, name.lower()))


def fill(say: Saying) -> None:
    """A case with a past, the episode it came from, one that quotes it, feedback that names it."""
    memory = say.memory
    said = replace(say.episode("e1"), messages=(Message("user", f"remember: {SECRET}!"),))
    memory.record(said, principal="eve")
    memory.feedback("home", "e1", values={"comment": f"yes, {SECRET}"}, principal="eve")
    draft = say.case(f"{SECRET} once", evidence=(Evidence("e1", 0),), lesson=f"visit: {SECRET}")
    (item,) = memory.remember("home", [draft], principal="eve", channel="user", idempotency_key="k")
    memory.edit("home", item.id, text=f"{SECRET} now", principal="eve", channel="user")
    say.remember(say.case("the kettle whistles when hot"), say.case("an orange is on the table"))
    recall = say.recall(f"{SECRET} now")
    quoting = replace(
        say.episode("e2", recall), messages=(Message("user", f"it says: {SECRET} now.", kind="memory"),)
    )
    memory.record(quoting, principal="ada")
    memory.reinforce(quoting, principal="ada")


def test_no_file_holds_a_byte_of_it(
    open_memory: Callable[..., Memory], say_to: Callable[..., Any], tmp_path: Path
) -> None:
    """Neither database nor write-ahead log nor index, read as they lie on the disk."""
    memory = open_memory("secret.db")
    say = say_to(memory, "home")
    fill(say)
    memory.close()
    memory = open_memory("secret.db")
    assert any(word in _bytes(tmp_path) for word in WORDS)
    memory.erase("home", Root("principal", "eve"), principal="o")
    memory.close()
    assert [word for word in WORDS if word in _bytes(tmp_path)] == []
    again = open_memory("secret.db")
    assert again.check() == ()
    assert [hit.item.text for hit in say_to(again, "home").recall("kettle whistles").hits]


def _bytes(folder: Path) -> str:
    """All files as text; one character a byte."""
    return "".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())
