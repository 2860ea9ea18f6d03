"""A registry that several write to while others read it: nobody sees half of anything."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.models.local.identity import Fingerprint, FolderIdentity
from distill.manifest import LINEAGE, AdapterManifest, Lineage
from distill.registry import Registry
from memory.errors import AdapterRefused

WRITERS = 4
ROUNDS = 12
ROWS = [Lineage("e1", (), (1,), (1.0,), "main")]
MANIFEST = AdapterManifest(
    id="",
    created_at=1.0,
    base="tiny",
    identity=FolderIdentity("0" * 64, "1" * 64),
    files={},
    fingerprint=Fingerprint(((1,),), (0.0,)),
    namespace="home",
    recipe="step",
    method="Recipe(name='step')",
    dataset="0" * 64,
    episodes=("e1",),
    seed=0,
    settings={},
)


def weights(folder: Path, n: int) -> Path:
    """What training would have left, other for every number."""
    made = folder / f"weights{n}"
    made.mkdir()
    (made / "adapter_config.json").write_text(json.dumps({"n": n}), "utf-8")
    return made


def test_readers_of_a_registry_that_is_written_see_whole_adapters(tmp_path: Path) -> None:
    """Writers add the same adapters, judge, try and promote, each with a registry of its own."""
    made = [weights(tmp_path, n) for n in range(ROUNDS)]

    def write(_writer: int) -> None:
        registry = Registry(tmp_path / "adapters")
        for folder in made:
            adapter = registry.add(folder, MANIFEST, ROWS).id
            registry.record_gate(adapter, {"promoted": True})
            registry.try_out(adapter, 0.5)
            registry.promote(adapter)

    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(write, writer) for writer in range(WRITERS)]
        registry = Registry(tmp_path / "adapters")
        while not all(writer.done() for writer in writers):
            known = registry.list()
            assert all(registry.lineage(one.id) == tuple(ROWS) for one in known)
            serving = registry.pointer("home").current
            assert serving is None or registry.get(serving).episodes == ("e1",)
        for writer in writers:
            writer.result()
    assert len(registry.list()) == ROUNDS
    assert all(one.passed for one in registry.list())


def test_what_cannot_be_read_of_a_registry_is_refused_by_name(tmp_path: Path) -> None:
    """Not an error that nobody foresaw."""
    registry = Registry(tmp_path / "adapters")
    adapter = registry.add(weights(tmp_path, 0), MANIFEST, ROWS).id
    registry.promote(adapter)
    (tmp_path / "adapters" / adapter / LINEAGE).write_text("{", "utf-8")
    with pytest.raises(AdapterRefused, match="lineage"):
        registry.lineage(adapter)
    place = tmp_path / "adapters" / "serving" / "home.json"
    place.unlink()
    place.mkdir()
    with pytest.raises(AdapterRefused, match="cannot be read"):
        registry.pointer("home")
