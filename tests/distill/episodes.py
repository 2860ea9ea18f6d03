"""Episodes of the kind the loop leaves, made by hand."""

from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

from memory.encoder import HashEncoder
from memory.moving import bundle, packing
from memory.types import (
    Episode,
    Item,
    Message,
    NoteBody,
    Outcome,
    Query,
    Recalled,
    RecallRecord,
)

NAMESPACE = "home"


def make_episode(
    id_: str,
    marks: Sequence[bool | None] = (True,),
    *,
    outcome: Outcome = "success",
    reward: float | None = None,
    memory: str = "",
    rules: str = "",
    shown: Sequence[str] = (),
    task_id: str = "",
) -> Episode:
    """One act and one observation for each mark; `memory` and `rules` open the prompt where given."""
    messages: list[Message] = []
    if rules:
        messages.append(Message("system", f"rules : {rules}"))
    if memory:
        messages.append(Message("user", f"facts : {memory}", kind="memory"))
    messages.append(Message("user", "your task is to put a mug on shelf 1", kind="task"))
    for number, ok in enumerate(marks):
        seen = "nothing happens" if ok is False else "it is done"
        text = f"looking for mug . > go to cabinet {1 + (number + len(id_)) % 4}"
        messages.append(Message("assistant", text, kind="act", ok=ok))
        messages.append(Message("tool", seen, kind="observe", ok=ok))
    record = None
    if shown or memory:
        recalled = tuple(Recalled(item, 1, 0.5, 1.0, shown=True) for item in shown)
        record = RecallRecord(Query(NAMESPACE, "mug"), 1, "hash", recalled)
    return Episode(
        id=id_,
        namespace=NAMESPACE,
        task_id=task_id or f"task-{id_}",
        task="put a mug on shelf 1",
        world="household",
        family="maple 7",
        group="",
        messages=tuple(messages),
        outcome=outcome,
        reward=reward,
        recall=record,
        steps=len(marks),
    )


def make_item(id_: str, trust: int = 1) -> Item:
    """An item with nothing remarkable but its trust."""
    return Item(
        id=id_,
        namespace=NAMESPACE,
        kind="case",
        scope="family",
        family="maple 7",
        text="mug",
        body=NoteBody("mug", "on shelf"),
        outcome=None,
        status="active",
        version=1,
        channel="reflection",
        trust=trust,
        author="agent",
        created_at=0.0,
        updated_at=0.0,
        valid_from=0.0,
    )


def write_bundle(folder: Path, episodes: Sequence[Episode], items: Sequence[Item] = ()) -> Path:
    """A bundle as `Memory.export` writes it."""
    manifest = bundle.Manifest(bundle.FORMAT, NAMESPACE, HashEncoder().generation, 512, 0, 0, 1, 0.0, {})
    return packing.write(folder, manifest, items, episodes, {})


marks = st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=6)


@st.composite
def episode_lists(draw: st.DrawFn) -> list[Episode]:
    """Up to eight episodes of any outcome, with and without memory."""
    return [
        make_episode(
            f"e{number}",
            draw(marks),
            outcome=draw(st.sampled_from(["success", "failure", "unknown", "infra"])),
            memory=draw(st.sampled_from(["", "mug on shelf 3"])),
            rules=draw(st.sampled_from(["", "wash before use"])),
        )
        for number in range(draw(st.integers(1, 8)))
    ]
