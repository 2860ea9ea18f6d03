"""A namespace leaves as a folder and comes back whole, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memory import bundle
from memory.encoder import HashEncoder
from memory.errors import BadInput, Conflict
from memory.types import Item

Saying = Any


@pytest.fixture
def full(say: Saying) -> Saying:
    """Cases, a principle, a retired item, an edit, statistics and feedback."""
    case, _, gone = say.remember(
        say.case("the mug is in cabinet 3"),
        replace(say.principle("open the fridge first"), status="trial"),
        say.case("the plate\u2028is in cabinet 4", family="maple 7"),
    )
    say.memory.edit("home", case.id, pinned=True, principal="ada", channel="user")
    episode = say.episode("e1", say.recall("mug"))
    say.memory.record(episode, principal="ada")
    say.memory.reinforce(episode, principal="ada")
    say.memory.feedback("home", "e1", principal="ada", values={"helpful": True})
    say.memory.forget("home", gone.id, principal="ada")
    return say


def test_a_restored_namespace_is_the_same(
    full: Saying, open_memory: Any, say_to: Any, tmp_path: Path
) -> None:
    """Items with versions, trust, statistics and ids; episodes with feedback; recall answers the same."""
    folder = full.memory.export("home", tmp_path / "bundle")
    other = open_memory("other.db")
    assert other.import_("home", folder, principal="ada", channel="operator") == 3
    assert other.items("home") == full.memory.items("home")
    assert other.episodes("home") == full.memory.episodes("home")
    here, there = full.recall("where is the mug"), say_to(other).recall("where is the mug")
    assert there.candidates == here.candidates
    assert other.import_("home", folder, principal="ada", channel="operator") == 0
    assert other.check() == ()


def test_vectors_travel_unchanged(full: Saying, tmp_path: Path) -> None:
    """In the order of the items, to the bit."""
    found = bundle.read(full.memory.export("home", tmp_path / "bundle"))
    expected = HashEncoder().encode([item.text for item in found.items])
    assert found.vectors.tolist() == expected.tolist()
    assert (found.manifest.encoder, found.manifest.items, found.manifest.episodes) == ("hash-1024-1", 3, 1)


def test_what_comes_from_another_agent_is_trusted_no_more_than_its_channel(
    full: Saying, tmp_path: Path
) -> None:
    """And its source can be named."""
    folder = full.memory.export("home", tmp_path / "bundle")
    full.memory.import_("guest", folder, principal="bob", channel="external")
    source = f"bundle:{bundle.read(folder).manifest.hash[:16]}"
    for item in full.memory.items("guest"):
        assert (item.trust, item.channel, item.lineage.source) == (0, "external", source)


def test_what_is_known_already_is_not_added_again(full: Saying, say_to: Any, tmp_path: Path) -> None:
    """By id, and by what it says."""
    folder = full.memory.export("home", tmp_path / "bundle")
    guest = say_to(full.memory, "guest")
    guest.remember(guest.case("the mug is in cabinet 3"))
    assert full.memory.import_("guest", folder, principal="bob", channel="operator") == 2
    assert full.memory.import_("home", folder, principal="bob", channel="operator") == 0


def test_an_import_under_another_encoder_is_encoded_anew(
    full: Saying, open_memory: Any, say_to: Any, tmp_path: Path
) -> None:
    """Vectors of two generations never meet."""
    folder = full.memory.export("home", tmp_path / "bundle")
    other = open_memory("other.db", encoder=HashEncoder(64))
    other.import_("home", folder, principal="ada", channel="operator")
    hits = say_to(other).recall("where is the mug").hits
    assert [hit.item.text for hit in hits] == ["the mug is in cabinet 3"]
    assert other.reencode() == 0


def test_items_without_a_vector_are_exported_and_encoded_on_the_way_in(
    full: Saying, open_memory: Any, say_to: Any, tmp_path: Path
) -> None:
    """A store that was never re-encoded has rows of zeros."""
    full.memory.close()
    memory = open_memory(encoder=HashEncoder(64))
    folder = memory.export("home", tmp_path / "bundle")
    assert not bundle.read(folder).vectors.any()
    other = open_memory("other.db", encoder=HashEncoder(64))
    other.import_("home", folder, principal="ada", channel="operator")
    assert say_to(other).recall("where is the mug").candidates[0].score.dense is not None


@pytest.mark.parametrize("name", bundle.FILES)
def test_a_changed_file_is_refused_by_name(full: Saying, tmp_path: Path, name: str) -> None:
    """One byte is enough, and nothing is taken in."""
    folder = full.memory.export("home", tmp_path / "bundle")
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(bytes(data))
    with pytest.raises(BadInput, match=f"{name} of the bundle .* was changed"):
        full.memory.import_("guest", folder, principal="bob", channel="operator")
    assert full.memory.items("guest") == ()
    (folder / name).unlink()
    with pytest.raises(BadInput, match=f"has no {name}"):
        bundle.read(folder)


def test_a_changed_manifest_is_refused(full: Saying, tmp_path: Path) -> None:
    """Hashes that were made to fit do not help: the manifest has its own."""
    folder = full.memory.export("home", tmp_path / "bundle")
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for change, message in (({"items": 2}, "was changed"), ({"format": 9}, "format 9")):
        path.write_text(json.dumps(manifest | change), encoding="utf-8")
        with pytest.raises(BadInput, match=message):
            bundle.read(folder)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match="is no bundle"):
        bundle.read(folder)
    with pytest.raises(BadInput, match="is no bundle"):
        bundle.read(tmp_path / "nowhere")


def rewritten(folder: Path, items: list[Item]) -> None:
    """The bundle with other items, by somebody who can make hashes."""
    found = bundle.read(folder)
    for path in folder.iterdir():
        path.unlink()
    bundle.write(folder, replace(found.manifest), items, found.episodes, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": "AKIA" + "IOSFODNN7EXAMPLQ"}, "AWS Access Key"),
        ({"text": " "}, "is empty"),
        ({"outcome": None}, "only success and failure"),
    ],
)
def test_a_well_made_bundle_is_still_checked(
    full: Saying, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    """Imports pass the same door as drafts."""
    folder = full.memory.export("home", tmp_path / "bundle")
    items = list(bundle.read(folder).items)
    rewritten(folder, [replace(items[0], **change), *items[1:]])
    with pytest.raises(BadInput, match=message):
        full.memory.import_("guest", folder, principal="bob", channel="user")
    assert full.memory.items("guest") == ()


def test_an_export_overwrites_nothing(full: Saying, tmp_path: Path) -> None:
    """An empty folder is filled, a full one refused."""
    (tmp_path / "empty").mkdir()
    folder = full.memory.export("home", tmp_path / "empty")
    with pytest.raises(Conflict, match="is not empty"):
        full.memory.export("home", folder)
    assert {path.name for path in tmp_path.iterdir() if "empty" in path.name} == {"empty"}


def test_an_empty_namespace_travels_too(memory: Any, tmp_path: Path, open_memory: Callable[..., Any]) -> None:
    """As an empty bundle."""
    folder = memory.export("home", tmp_path / "bundle")
    assert bundle.read(folder).items == ()
    assert np.load(folder / "vectors.npy").shape == (0, 1024)
    assert open_memory("other.db").import_("home", folder, principal="a", channel="user") == 0
