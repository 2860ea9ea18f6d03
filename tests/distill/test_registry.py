"""Adapters on disk: verified, promoted, rolled back."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from agent.models.local.chat import Chat
from agent.models.local.identity import identify
from agent.models.local.model import LocalModel
from agent.models.local.weights import frozen
from distill import copies
from distill.manifest import AdapterManifest, Lineage
from distill.merge import merge
from distill.registry import Canary, Pointer, Registry
from distill.render import TokenRow
from distill.retention import Score
from distill.settings import TrainSettings
from distill.suites import Suite
from distill.train import Trained, train
from memory.errors import AdapterRefused, BadInput, Conflict, NotFound
from tests.distill.tiny import make_folder

SETTINGS = TrainSettings(epochs=1, min_updates=1, batch_size=4, rank=4, learning_rate=1e-2)


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    rows = [TokenRow((8, 9, 10, 11, 12 + n), (0.0, 1.0, 1.0, 1.0, 1.0)) for n in range(8)]
    return train(rows, base, tmp_path_factory.mktemp("run"), SETTINGS, seed=0)


@pytest.fixture(scope="module")
def manifest(base: Path, chat: Chat, trained: Trained) -> AdapterManifest:
    model = LocalModel.wrap(frozen(trained.model), chat, name="trained")
    fingerprint = model.fingerprint()
    model.close()
    return AdapterManifest(
        id="",
        created_at=1.0,
        base=base.name,
        identity=identify(base),
        files={},
        fingerprint=fingerprint,
        namespace="home",
        recipe="step",
        method="Recipe(name='step')",
        dataset="0" * 64,
        episodes=("e1",),
        seed=0,
        settings={},
    )


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "adapters")


def _other(trained: Trained, folder: Path) -> Path:
    """An adapter of the same shape with other numbers."""
    shutil.copytree(trained.folder, folder)
    path = folder / "adapter_model.safetensors"
    save_file({name: tensor * 3 + 0.1 for name, tensor in load_file(path).items()}, path)
    return folder


class TestVerify:
    """Nothing serves that is not what it says."""

    def test_an_adapter_that_was_added_loads_and_answers(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest, base: Path
    ) -> None:
        """Listed, verified, and with the fingerprint that training left."""
        added = registry.add(trained.folder, manifest)
        assert registry.list() == (added,)
        assert registry.get(added.id) == added
        model = registry.load(added.id, base, name="local:tiny+x")
        assert model.fingerprint().matches(manifest.fingerprint)
        model.close()

    def test_a_changed_byte_is_refused(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest, base: Path
    ) -> None:
        """The reason names the file."""
        added = registry.add(trained.folder, manifest)
        path = registry.path(added.id) / "adapter_model.safetensors"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
        with pytest.raises(AdapterRefused, match=r"adapter_model\.safetensors is corrupt"):
            registry.load(added.id, base, name="x")

    def test_a_missing_file_is_refused(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest, base: Path
    ) -> None:
        """Weights that are gone are told."""
        added = registry.add(trained.folder, manifest)
        (registry.path(added.id) / "adapter_model.safetensors").unlink()
        with pytest.raises(AdapterRefused, match="is missing"):
            registry.verify(added.id, base)

    def test_another_base_is_refused(
        self,
        registry: Registry,
        trained: Trained,
        manifest: AdapterManifest,
        base: Path,
        tmp_path: Path,
    ) -> None:
        """Other weights, or the same weights with another template."""
        added = registry.add(trained.folder, manifest)
        with pytest.raises(AdapterRefused, match="other weights"):
            registry.verify(added.id, make_folder(tmp_path / "other", seed=5))
        same = tmp_path / "same"
        shutil.copytree(base, same)
        settings = {"style": "plain", "stop": ["<end>"], "max_tokens": 13}
        (same / "apprentice.json").write_text(json.dumps(settings), encoding="utf-8")
        with pytest.raises(AdapterRefused, match="template"):
            registry.verify(added.id, same)

    def test_weights_that_answer_otherwise_are_refused(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest, base: Path, tmp_path: Path
    ) -> None:
        """Whole files and the right base, yet not the model that was trained."""
        added = registry.add(_other(trained, tmp_path / "other"), manifest)
        with pytest.raises(AdapterRefused, match="does not answer as it did"):
            registry.load(added.id, base, name="x")

    def test_a_broken_manifest_hides_no_other_adapter(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest, tmp_path: Path
    ) -> None:
        """The list goes on; asking for the broken one says why."""
        good = registry.add(trained.folder, manifest)
        bad = registry.add(_other(trained, tmp_path / "other"), manifest)
        (registry.path(bad.id) / "manifest.json").write_text("{", encoding="utf-8")
        assert registry.list() == (good,)
        with pytest.raises(AdapterRefused, match="manifest"):
            registry.get(bad.id)

    def test_ids_never_lead_out_of_the_registry(self, registry: Registry) -> None:
        """A path is not an id."""
        for name in ("nothing", "../secrets", "/etc"):
            with pytest.raises(NotFound):
                registry.path(name)


class TestPointer:
    """One adapter serves."""

    def test_promotion_and_rollback_walk_back_and_forth(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest, tmp_path: Path
    ) -> None:
        """Back to the one before, then to none, then no further."""
        first = registry.add(trained.folder, manifest).id
        second = registry.add(_other(trained, tmp_path / "other"), manifest).id
        assert registry.current("home") is None
        registry.promote(first)
        registry.promote(second)
        registry.promote(second)
        assert registry.current("home") == second
        registry.rollback("home")
        assert Registry(tmp_path / "adapters").current("home") == first
        registry.rollback("home")
        assert registry.current("home") is None
        with pytest.raises(Conflict):
            registry.rollback("home")

    def test_what_does_not_exist_cannot_be_promoted(self, registry: Registry, tmp_path: Path) -> None:
        """The pointer never dangles."""
        with pytest.raises(NotFound):
            registry.promote("step-000000000000")
        with pytest.raises(Conflict):
            registry.rollback("home")
        assert registry.current("home") is None
        assert not (tmp_path / "adapters").exists()

    def test_half_a_write_is_never_read(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest, tmp_path: Path
    ) -> None:
        """A crash before the rename leaves the old pointer, whatever lies beside it."""
        added = registry.add(trained.folder, manifest).id
        registry.promote(added)
        (tmp_path / "adapters" / "serving" / "home.new").write_text('{"curr', encoding="utf-8")
        assert registry.current("home") == added
        registry.rollback("home")
        assert registry.current("home") is None

    def test_the_gate_report_stays_with_the_adapter(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest
    ) -> None:
        """And adding the same files again does not lose it."""
        added = registry.add(trained.folder, manifest)
        registry.record_gate(added.id, {"promoted": False, "reason": "worse"})
        assert registry.add(trained.folder, manifest).id == added.id
        assert registry.get(added.id).gate["reason"] == "worse"


class TestNamespaces:
    """Each has its own pointer."""

    def test_who_serves_one_serves_no_other(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest, tmp_path: Path
    ) -> None:
        """Promoted, tried out, rolled back and blocked: nothing of it moves the other's pointer."""
        theirs = replace(manifest, namespace="work/../home")
        mine, other = registry.add(trained.folder, manifest).id, registry.add(trained.folder, theirs).id
        second = registry.add(_other(trained, tmp_path / "other"), theirs).id
        assert mine != other
        registry.promote(mine)
        before = registry.pointer("home")
        registry.promote(other)
        registry.promote(second)
        registry.rollback(theirs.namespace)
        registry.try_out(second, 0.5)
        assert registry.pointer(theirs.namespace) == Pointer(other, (None,), Canary(second, 0.5))
        registry.block(other, "forgotten")
        assert registry.pointer(theirs.namespace) == Pointer(None, (), Canary(second, 0.5))
        assert registry.pointer("home") == before == Pointer(mine, (None,))
        assert registry.pointer("nobody") == Pointer()

    def test_a_pointer_that_was_everybodys_goes_on_to_be_read(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest, tmp_path: Path
    ) -> None:
        """Each namespace's own part of it, until it moves its pointer; the file itself stays as it was."""
        first = registry.add(trained.folder, manifest).id
        second = registry.add(_other(trained, tmp_path / "other"), manifest).id
        theirs = registry.add(trained.folder, replace(manifest, namespace="work")).id
        old = tmp_path / "adapters" / "current.json"
        canary = {"adapter": second, "share": 0.25}
        told = {"current": theirs, "history": [None, first], "canary": canary}
        old.write_text(json.dumps(told), encoding="utf-8")
        assert registry.pointer("work") == Pointer(theirs, (None,))
        assert registry.pointer("home") == Pointer(first, (None,), Canary(second, 0.25))
        registry.rollback("work")
        assert registry.current("work") is None
        assert registry.promote(second) == registry.pointer("home") == Pointer(second, (None, first))
        assert json.loads(old.read_text(encoding="utf-8")) == told


class TestTrying:
    """A candidate answers a share beside the adapter in service."""

    def test_the_share_is_drawn_by_the_episode(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest, tmp_path: Path
    ) -> None:
        """About a quarter of ids, the same ones every time; promotion and rollback end it."""
        first = registry.add(trained.folder, manifest).id
        second = registry.add(_other(trained, tmp_path / "other"), manifest).id
        registry.promote(first)
        pointer = registry.try_out(second, 0.25)
        assert registry.pointer("home") == pointer == Pointer(first, (None,), Canary(second, 0.25))
        drawn = [pointer.chosen(f"ep_{n}") for n in range(400)]
        assert drawn == [pointer.chosen(f"ep_{n}") for n in range(400)]
        assert 70 <= drawn.count(second) <= 130
        assert drawn.count(first) == 400 - drawn.count(second)
        assert registry.promote(second) == Pointer(second, (None, first))
        registry.try_out(first, 0.5)
        assert registry.rollback("home") == Pointer(first, (None,))
        registry.try_out(second, 1.0)
        assert registry.try_out(second, 0.0).canary is None
        with pytest.raises(BadInput):
            registry.try_out(second, 1.5)

    def test_a_blocked_canary_answers_nothing(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest
    ) -> None:
        """It is taken out at once and cannot be put back."""
        added = registry.add(trained.folder, manifest).id
        registry.try_out(added, 1.0)
        registry.block(added, "its source was revoked")
        assert registry.pointer("home") == Pointer()
        with pytest.raises(AdapterRefused, match="revoked"):
            registry.try_out(added, 0.5)

    def test_what_served_is_what_later_ones_are_compared_with(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest, tmp_path: Path
    ) -> None:
        """In the order of their first service; blocked ones and other namespaces' count no more."""
        first = registry.add(trained.folder, manifest).id
        second = registry.add(_other(trained, tmp_path / "other"), manifest).id
        scores = (Score(Suite("a", "household", "maple 27"), (0,), "t", 0.1, 0.5),)
        registry.record_gate(first, {}, scores)
        base = manifest.identity.weights
        assert registry.served("home", base) == ()
        registry.promote(second)
        registry.promote(first)
        assert [one.id for one in registry.served("home", base)] == [second, first]
        assert registry.served("home", base, without=second)[0].scores == scores
        assert registry.served("work", base) == registry.served("home", "0") == ()
        registry.block(second, "forgotten")
        assert [one.id for one in registry.served("home", base)] == [first]

    def test_overrides_and_lineage_stay_with_the_adapter(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest, base: Path
    ) -> None:
        """Who, why, when; rows without their text. Neither makes the files differ from what was added."""
        row = Lineage("e1", ("e2",), (0, 1, -1), (0.0, 1.0, 0.5), "main")
        added = registry.add(trained.folder, manifest, [row])
        registry.record_override(added.id, "key:1 (ann)", "the suite is too small")
        (override,) = registry.verify(added.id, base).overrides
        assert (override.by, override.reason) == ("key:1 (ann)", "the suite is too small")
        assert registry.lineage(added.id) == (row,)


class TestBlocked:
    """What was trained on forgotten things serves no more."""

    def test_adapters_are_found_by_what_they_were_trained_on(
        self, registry: Registry, trained: Trained, manifest: AdapterManifest, tmp_path: Path
    ) -> None:
        """By an episode or a shown item, in their own namespace."""
        first = registry.add(trained.folder, manifest).id
        shown = replace(manifest, episodes=("e2",), items=("i1",))
        second = registry.add(_other(trained, tmp_path / "other"), shown).id
        assert registry.touched("home", ["e1", "e9"]) == (first,)
        assert registry.touched("home", [], ["i1"]) == (second,)
        assert registry.touched("home", ["e9"], ["i9"]) == ()
        assert registry.touched("work", ["e1", "e2"], ["i1"]) == ()

    def test_a_blocked_adapter_gives_way(
        self, registry: Registry, base: Path, trained: Trained, manifest: AdapterManifest, tmp_path: Path
    ) -> None:
        """To the one before; it can neither be promoted nor loaded nor rolled back to."""
        first = registry.add(trained.folder, manifest).id
        second = registry.add(_other(trained, tmp_path / "other"), manifest).id
        registry.promote(first)
        registry.promote(second)
        registry.block(second, "episode 'e1' was forgotten")
        assert registry.current("home") == first
        for attempt in (lambda: registry.promote(second), lambda: registry.verify(second, base)):
            with pytest.raises(AdapterRefused, match="episode 'e1' was forgotten"):
                attempt()
        registry.block(first, "source 's' was forgotten")
        assert registry.current("home") is None
        with pytest.raises(Conflict):
            registry.rollback("home")


def test_copies_of_a_memory_are_found_and_removed(tmp_path: Path) -> None:
    """By namespace; the report of a job stays."""
    for name, namespace, episode in (("a", "home", "e1"), ("b", "home", "e2"), ("c", "work", "e1")):
        job = tmp_path / name
        for folder in ("bundle", "dataset", "memory"):
            (job / folder).mkdir(parents=True)
        (job / "job.json").write_text(json.dumps({"namespace": namespace}), encoding="utf-8")
        (job / "report.json").write_text("{}", encoding="utf-8")
        found = {"namespace": namespace, "episodes": [episode]}
        (job / "dataset" / "manifest.json").write_text(json.dumps(found), encoding="utf-8")
    assert copies.datasets(tmp_path, "home", ["e1"]) == ("a",)
    assert copies.remove(tmp_path, "home") == ("a", "b")
    assert copies.remove(tmp_path, "home") == ()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["job.json", "report.json"]
    assert (tmp_path / "c" / "bundle").exists()


def test_a_blocked_adapter_is_not_merged(
    registry: Registry, trained: Trained, manifest: AdapterManifest, base: Path, tmp_path: Path
) -> None:
    """A copy could be stopped by nobody."""
    added = registry.add(trained.folder, manifest)
    merge(registry.path(added.id), base, tmp_path / "before")
    registry.block(added.id, "an episode was forgotten")
    with pytest.raises(AdapterRefused, match="forgotten"):
        merge(registry.path(added.id), base, tmp_path / "after")
    assert not (tmp_path / "after").exists()
