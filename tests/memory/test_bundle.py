"""A namespace leaves as a signed folder and comes back whole; a stranger is not believed too much."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory.codec import canonical, to_json
from memory.encoder import HashEncoder
from memory.entry import digest_of
from memory.errors import BadInput, Conflict, Denied, DiskFull, OverQuota, StoreError
from memory.moving import bundle, packing, transfer
from memory.moving.bundle import Manifest
from memory.moving.signing import Signers, SigningKey
from memory.types import (
    BODIES,
    CaseBody,
    Episode,
    FlowBody,
    Item,
    Lineage,
    Message,
    NoteBody,
    PolicyBody,
    PrincipleBody,
    ProcedureBody,
    SafetyBody,
    ToolBody,
    Utility,
)
from memory.writing.limits import Limits

Saying = Any


@pytest.fixture
def open_signing(open_memory: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Memories of one owner: they share a signing key wherever they are kept."""

    def open_(name: str = "memory.db", **rest: Any) -> Any:
        return open_memory(name, **({"signers": Signers(tmp_path / "signing.key")} | rest))

    return open_


@pytest.fixture
def full(open_signing: Any, say_to: Any) -> Saying:
    """Cases, a principle, a retired item, an edit, statistics and feedback."""
    say = say_to(open_signing())
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
    full: Saying, open_signing: Any, say_to: Any, tmp_path: Path
) -> None:
    """Items with versions, trust, statistics and ids; episodes with feedback; recall answers the same."""
    folder = full.memory.export("home", tmp_path / "bundle")
    other = open_signing("other.db")
    report = other.import_("home", folder, principal="ada", channel="operator")
    assert (report.added, report.present, report.episodes, report.refused) == (3, 0, 1, ())
    assert other.items("home") == full.memory.items("home")
    assert other.episodes("home") == full.memory.episodes("home")
    here, there = full.recall("where is the mug"), say_to(other).recall("where is the mug")
    assert there.candidates == here.candidates
    again = other.import_("home", folder, principal="ada", channel="operator")
    assert (again.added, again.present, again.episodes) == (0, 3, 0)
    assert other.check() == ()


def test_what_an_episode_gave_can_be_taken_back_after_a_restore(
    full: Saying, open_signing: Any, tmp_path: Path
) -> None:
    """Late feedback re-values an item instead of counting the episode twice."""
    folder = full.memory.export("home", tmp_path / "bundle")
    other = open_signing("other.db")
    other.import_("home", folder, principal="ada", channel="operator")
    for memory in (full.memory, other):
        memory.feedback("home", "e1", principal="ada", reward=-1.0, outcome="failure")
    assert other.items("home") == full.memory.items("home")
    assert other.items("home")[0].utility.n == 1


def test_a_restore_keeps_two_items_that_say_the_same(open_signing: Any, say_to: Any, tmp_path: Path) -> None:
    """An edit can make one say what another does; both are the namespace's own."""
    say = say_to(open_signing())
    one, other = say.remember(say.case("the mug is in cabinet 3"), say.case("the cup is in cabinet 4"))
    say.memory.edit("home", other.id, text=one.text, body=one.body, principal="ada", channel="user")
    restored = open_signing("other.db")
    folder = say.memory.export("home", tmp_path / "bundle")
    assert restored.import_("home", folder, principal="ada", channel="operator").added == 2
    assert restored.items("home") == say.memory.items("home")


def test_vectors_travel_unchanged_or_not_at_all(full: Saying, open_signing: Any, tmp_path: Path) -> None:
    """In the order of the items, to the bit; left out, they are made again."""
    found = bundle.read(full.memory.export("home", tmp_path / "bundle"))
    expected = HashEncoder().encode([item.text for item in found.items])
    assert found.vectors.tolist() == expected.tolist()
    assert (found.manifest.encoder, found.manifest.items, found.manifest.episodes) == ("hash-1024-1", 3, 1)
    light = full.memory.export("home", tmp_path / "light", vectors=False)
    assert not (light / "vectors.npy").exists()
    other = open_signing("other.db")
    assert other.import_("home", light, principal="ada", channel="operator").added == 3
    assert bundle.read(other.export("home", tmp_path / "again")).vectors.tolist() == expected.tolist()


def test_only_a_signature_that_is_trusted_makes_an_import_a_restore(
    full: Saying, open_memory: Any, tmp_path: Path
) -> None:
    """The own key, one that the operator named, or the operator's word for this one bundle."""
    folder = full.memory.export("home", tmp_path / "bundle")
    signer = bundle.read(folder).manifest.signer
    assert signer == full.memory.signer
    (tmp_path / "far").mkdir()
    key = tmp_path / "far" / "signing.key"
    trusting = open_memory("far/trusting.db", signers=Signers(key, frozenset({signer})))
    trusting.import_("home", folder, principal="o", channel="operator")
    assert trusting.items("home") == full.memory.items("home")
    strange = open_memory("far/strange.db", signers=Signers(key))
    strange.import_("home", folder, principal="o", channel="operator")
    assert {item.trust for item in strange.items("home")} == {0}
    with pytest.raises(Denied, match="only an operator can vouch"):
        strange.import_("there", folder, principal="u", channel="user", vouched=True)
    strange.import_("vouched", folder, principal="o", channel="operator", vouched=True)
    assert [item.trust for item in strange.items("vouched")] == [
        item.trust for item in full.memory.items("home")
    ]


def test_nothing_of_a_stranger_is_trusted_more_than_its_channel(full: Saying, tmp_path: Path) -> None:
    """Its source can be named, its author is the importer, its claims about itself count for nothing."""
    folder = full.memory.export("home", tmp_path / "bundle")
    report = full.memory.import_("guest", folder, principal="bob", channel="external")
    assert report.source == f"bundle:{bundle.read(folder).manifest.hash[:16]}"
    for item in full.memory.items("guest"):
        assert (item.trust, item.channel, item.author) == (0, "external", "bob")
        assert (item.lineage.source, item.pinned, item.utility) == (report.source, False, Utility())
    (episode,) = full.memory.episodes("guest")
    assert (episode.channel, episode.source, episode.recall) == ("external", report.source, None)


def test_a_strangers_vectors_are_not_believed(
    full: Saying, open_signing: Any, say_to: Any, tmp_path: Path
) -> None:
    """A text about plates with the vector of a question about mugs is still about plates."""
    question = HashEncoder().encode(["where is the mug"])[0]
    found = bundle.read(full.memory.export("home", tmp_path / "bundle"))
    item = replace(found.items[0], text="plates are in the cupboard", pinned=False)
    made = tmp_path / "made"
    packing.write(made, found.manifest, [item], [], {digest_of(item.text): question})
    other = open_signing("other.db")
    other.import_("home", made, principal="o", channel="operator")
    assert say_to(other).recall("where is the mug").hits == ()
    other.import_("vouched", made, principal="o", channel="operator", vouched=True)
    assert len(say_to(other, "vouched").recall("where is the mug").hits) == 1


def test_a_stranger_brings_no_more_than_there_is_room_for(
    full: Saying, open_signing: Any, tmp_path: Path
) -> None:
    """The growth budget and the writing rate hold for imports; a restore has no limits."""
    full.remember(*(full.case(f"the cup is in cabinet {n}") for n in range(9)))
    folder = full.memory.export("home", tmp_path / "bundle")
    other = open_signing("other.db", limits=Limits(max_living=5, writes_per_minute=12))
    with pytest.raises(OverQuota, match="living items"):
        other.import_("home", folder, principal="u", channel="user")
    assert other.items("home") == ()
    with pytest.raises(OverQuota, match="more than 12 items"):
        other.import_("home", folder, principal="u", channel="user")
    assert other.import_("home", folder, principal="o", channel="operator").added == 12


def test_secrets_of_episodes_stay_outside(full: Saying, tmp_path: Path) -> None:
    """Blotted out, as in an episode that was lived here; even in a restore."""
    secret = "AKIA" + "IOSFODNN7EXAMPLQ"
    found = bundle.read(full.memory.export("home", tmp_path / "bundle"))
    told = replace(found.episodes[0], messages=(Message("user", f"use {secret} now"),))
    folder = packing.write(tmp_path / "made", found.manifest, [], [told], {})
    for namespace, vouched in (("guest", False), ("restored", True)):
        full.memory.import_(namespace, folder, principal="o", channel="operator", vouched=vouched)
        (episode,) = full.memory.episodes(namespace)
        assert episode.messages[0].text.startswith("use [secret")


def test_a_strangers_principle_is_on_trial(open_signing: Any, say_to: Any, tmp_path: Path) -> None:
    """It reaches nobody's prompt as a rule that holds."""
    say = say_to(open_signing())
    say.remember(say.principle("open the fridge first"))
    folder = say.memory.export("home", tmp_path / "bundle")
    say.memory.import_("guest", folder, principal="bob", channel="user")
    assert [item.status for item in say.memory.items("guest")] == ["trial"]


def test_what_is_known_already_is_not_added_again(full: Saying, say_to: Any, tmp_path: Path) -> None:
    """By id, and by what it says."""
    folder = full.memory.export("home", tmp_path / "bundle")
    guest = say_to(full.memory, "guest")
    guest.remember(guest.case("the mug is in cabinet 3"))
    report = full.memory.import_("guest", folder, principal="bob", channel="operator")
    assert (report.added, report.present) == (2, 1)
    assert full.memory.import_("home", folder, principal="bob", channel="operator").added == 0


def test_an_import_under_another_encoder_is_encoded_anew(
    full: Saying, open_signing: Any, say_to: Any, tmp_path: Path
) -> None:
    """Vectors of two generations never meet."""
    folder = full.memory.export("home", tmp_path / "bundle")
    other = open_signing("other.db", encoder=HashEncoder(64))
    other.import_("home", folder, principal="ada", channel="operator")
    hits = say_to(other).recall("where is the mug").hits
    assert [hit.item.text for hit in hits] == ["the mug is in cabinet 3"]
    assert other.reencode() == 0


def test_items_without_a_vector_are_exported_and_encoded_on_the_way_in(
    full: Saying, open_signing: Any, say_to: Any, tmp_path: Path
) -> None:
    """A store that was never re-encoded has rows of zeros."""
    full.memory.close()
    memory = open_signing(encoder=HashEncoder(64))
    folder = memory.export("home", tmp_path / "bundle")
    assert not bundle.read(folder).vectors.any()
    other = open_signing("other.db", encoder=HashEncoder(64))
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


def with_manifest(folder: Path, **changes: Any) -> None:
    """Another manifest, by somebody who can make hashes but has no key."""
    path = folder / "manifest.json"
    data = json.loads(path.read_text(encoding="utf-8")) | changes | {"hash": ""}
    signature = data.pop("signature", None)
    data["hash"] = sha256(canonical(data).encode()).hexdigest()
    path.write_text(
        canonical(data if signature is None else data | {"signature": signature}), encoding="utf-8"
    )


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


@pytest.mark.parametrize("forged", ["namespace", "signer", "signature", "nothing of it"])
def test_a_forged_signature_is_refused(full: Saying, tmp_path: Path, forged: str) -> None:
    """Whoever changes the manifest, names another signer or has only half of a signature."""
    folder = full.memory.export("home", tmp_path / "bundle")
    other = SigningKey.at(tmp_path / "other.key")
    changes = {
        "namespace": {"namespace": "work"},
        "signer": {"signer": other.public},
        "signature": {"signature": other.sign("anything")},
        "nothing of it": {"signature": "?"},
    }[forged]
    with_manifest(folder, **changes)
    with pytest.raises(BadInput, match="changed or forged"):
        full.memory.import_("guest", folder, principal="ada", channel="operator", vouched=True)


def test_a_bundle_without_a_signature_comes_in_as_a_strangers(full: Saying, tmp_path: Path) -> None:
    """To take the signature away gains nothing."""
    folder = full.memory.export("home", tmp_path / "bundle")
    with_manifest(folder, signer="", signature="")
    full.memory.import_("guest", folder, principal="ada", channel="operator")
    assert {item.trust for item in full.memory.items("guest")} == {0}


def test_a_bundle_of_the_first_release_is_read(full: Saying, open_signing: Any, tmp_path: Path) -> None:
    """Format 1 had no credits, no signer, and notes where kinds have bodies of their own now."""
    folder = full.memory.export("home", tmp_path / "bundle")
    item = replace(full.memory.items("home")[0], id="old", kind="flow", body=NoteBody("mug", "fetch it"))
    found = bundle.read(folder)
    old = tmp_path / "old"
    packing.write(old, found.manifest, [*found.items, item], found.episodes, {})
    (old / "credits.jsonl").unlink()
    manifest: Any = to_json(bundle.read_manifest(old))
    data = {name: value for name, value in manifest.items() if name not in {"signer", "signature"}}
    data |= {
        "format": 1,
        "hash": "",
        "files": {k: v for k, v in data["files"].items() if k != "credits.jsonl"},
    }
    data["hash"] = sha256(canonical(data).encode()).hexdigest()
    (old / "manifest.json").write_text(canonical(data), encoding="utf-8")
    other = open_signing("other.db")
    report = other.import_("home", old, principal="ada", channel="operator", vouched=True)
    assert (report.added, report.refused) == (4, ())
    assert other.get("home", "old") == item


def rewritten(folder: Path, items: list[Item]) -> None:
    """The bundle with other items, by somebody who can make hashes."""
    found = bundle.read(folder)
    for path in folder.iterdir():
        path.unlink()
    packing.write(folder, found.manifest, items, found.episodes, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": "AKIA" + "IOSFODNN7EXAMPLQ"}, "AWS Access Key"),
        ({"text": " "}, "is empty"),
        ({"outcome": None}, "only success and failure"),
        ({"id": " "}, "id is empty"),
    ],
)
def test_a_bad_line_is_refused_and_the_others_go_in(
    full: Saying, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    """Imports pass the same door as drafts; what did not is named by its line, secrets never."""
    folder = full.memory.export("home", tmp_path / "bundle")
    items = list(bundle.read(folder).items)
    rewritten(folder, [replace(items[0], **change), *items[1:]])
    report = full.memory.import_("guest", folder, principal="bob", channel="user")
    (refused,) = report.refused
    assert (report.added, report.n_refused) == (2, 1)
    assert (refused.file, refused.line) == ("items.jsonl", 1)
    assert message in refused.reason
    assert "AKIA" not in refused.reason


def test_a_line_that_cannot_be_read_is_refused_alone(full: Saying, tmp_path: Path) -> None:
    """The lines before and after it are whole."""
    folder = full.memory.export("home", tmp_path / "bundle")
    path = folder / "items.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b'{"kind": "case"}', lines[2], b""]))
    hashes = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    with_manifest(
        folder,
        files=hashes | {"items.jsonl": sha256(path.read_bytes()).hexdigest()},
        signer="",
        signature="",
    )
    report = full.memory.import_("guest", folder, principal="bob", channel="user")
    assert (report.added, [refused.line for refused in report.refused]) == (2, [2])


def test_an_import_that_was_cut_off_is_finished_by_the_next(
    full: Saying, open_signing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that were acknowledged stay; the rest comes, nothing twice."""
    full.remember(*(full.case(f"the cup is in cabinet {n}") for n in range(9)))
    folder = full.memory.export("home", tmp_path / "bundle")
    monkeypatch.setattr(transfer, "PAGE", 4)
    other = open_signing("other.db")
    write, pages = other._store.write, iter(range(2))

    def until_full(run: Callable[[Any], Any], *ahead: Any) -> Any:
        if next(pages, None) is None:
            raise DiskFull("no space left")
        return write(run, *ahead)

    monkeypatch.setattr(other._store, "write", until_full)
    with pytest.raises(DiskFull):
        other.import_("home", folder, principal="ada", channel="operator")
    assert len(other.items("home")) == 8
    monkeypatch.undo()
    report = other.import_("home", folder, principal="ada", channel="operator")
    assert (report.added, report.present, report.episodes) == (4, 8, 1)
    assert other.items("home") == full.memory.items("home")
    assert other.check() == ()


def test_an_export_overwrites_nothing(full: Saying, tmp_path: Path) -> None:
    """An empty folder is filled, a full one refused, and a failed export leaves nothing behind."""
    (tmp_path / "empty").mkdir()
    folder = full.memory.export("home", tmp_path / "empty")
    with pytest.raises(Conflict, match="is not empty"):
        full.memory.export("home", folder)
    with pytest.raises(BadInput), packing.packing(tmp_path / "failed", 4):
        raise BadInput("on purpose")
    assert {path.name for path in tmp_path.iterdir() if "ed" in path.name or "empty" in path.name} == {
        "empty"
    }


def test_an_empty_namespace_travels_too(open_signing: Any, tmp_path: Path) -> None:
    """As an empty bundle."""
    folder = open_signing().export("home", tmp_path / "bundle")
    assert bundle.read(folder).items == ()
    assert np.load(folder / "vectors.npy").shape == (0, 1024)
    report = open_signing("other.db").import_("home", folder, principal="a", channel="user")
    assert (report.added, report.episodes) == (0, 0)


def test_the_key_is_the_owners_alone_and_stays(tmp_path: Path) -> None:
    """Made once; a second memory of the folder signs with the same one."""
    path = tmp_path / "signing.key"
    assert path.exists() is False
    public = SigningKey.at(path).public
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.at(path).public == public
    assert [found.name for found in tmp_path.iterdir()] == ["signing.key"]
    path.write_text("torn", encoding="utf-8")
    with pytest.raises(StoreError, match="restore it, or remove it"):
        SigningKey.at(path)


words = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=30)
said = words.filter(lambda text: bool(text.strip()))
some = st.lists(words, max_size=3).map(tuple)
bodies = {
    CaseBody: st.builds(CaseBody, words, some, words, st.none() | words, st.integers(0, 99)),
    PrincipleBody: st.builds(PrincipleBody, st.sampled_from(["global", "family", "tool"]), st.just("neural")),
    ProcedureBody: st.builds(ProcedureBody, words, words, some, some, some),
    ToolBody: st.builds(ToolBody, words, words, st.dictionaries(words, st.integers() | words), words, some),
    FlowBody: st.builds(FlowBody, words, some),
    PolicyBody: st.builds(PolicyBody, st.sampled_from(["allow", "ask"]), words, st.just({}), words),
    SafetyBody: st.builds(SafetyBody, words, words, words),
    NoteBody: st.builds(NoteBody, words, words),
}
times = st.floats(0, 1e10)


@st.composite
def items(draw: st.DrawFn) -> Item:
    """Anything that a store may hold."""
    kind = draw(st.sampled_from(list(BODIES)))
    scope = draw(st.sampled_from(["run", "team", "family", "namespace"]))
    begin = draw(times)
    return Item(
        id=draw(st.uuids()).hex,
        namespace="home",
        kind=kind,
        scope=scope,
        family=draw(said) if scope == "family" else None,
        text=draw(said),
        body=draw(bodies[BODIES[kind]]),
        outcome=draw(st.sampled_from(["success", "failure"])),
        status=draw(st.sampled_from(["draft", "trial", "active", "quarantined", "retired"])),
        version=draw(st.integers(1, 9)),
        channel="user",
        trust=draw(st.integers(0, 4)),
        author=draw(words),
        created_at=begin,
        updated_at=draw(times),
        valid_from=begin,
        valid_to=draw(st.none() | st.just(begin + 1e9)),
        superseded_by=draw(st.none() | words),
        pinned=draw(st.booleans()),
        lineage=draw(st.builds(Lineage, items=st.just(()), source=st.none() | words)),
        utility=draw(st.builds(Utility, st.integers(0, 9), times, times, st.integers(0, 9))),
        audience=draw(said) if scope in {"run", "team"} else None,
    )


episodes = st.builds(
    Episode,
    id=st.uuids().map(lambda id_: id_.hex),
    namespace=st.just("home"),
    task_id=words,
    task=words,
    world=words,
    family=words,
    group=words,
    messages=st.lists(st.builds(Message, st.just("user"), words), max_size=3).map(tuple),
    outcome=st.sampled_from(["success", "failure", "unknown", "infra"]),
    reward=st.none() | st.floats(-1, 1),
    seed=st.integers(0, 9),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(items(), max_size=6, unique_by=lambda item: item.id),
    st.lists(episodes, max_size=3, unique_by=lambda episode: episode.id),
)
def test_any_namespace_comes_back_as_it_was(
    open_signing: Any, tmp_path: Path, things: list[Item], lived: list[Episode]
) -> None:
    """Out of a hand-made bundle, into a store, out and into another: every kind, status and scope."""
    turn = str(len(list(tmp_path.iterdir())))
    key = SigningKey.at(tmp_path / "signing.key")
    manifest = Manifest(bundle.FORMAT, "home", "none", 8, 0, 0, 0, 0.0, {})
    folder = packing.write(tmp_path / f"made-{turn}", manifest, things, lived, {}, key)
    with open_signing("a.db") as first, open_signing("b.db", encoder=HashEncoder(64)) as second:
        assert first.import_(turn, folder, principal="o", channel="operator").refused == ()
        exported = first.export(turn, tmp_path / f"exported-{turn}")
        second.import_(turn, exported, principal="o", channel="operator")
        for memory in (first, second):
            at_home = [replace(item, namespace="home") for item in memory.items(turn)]
            assert at_home == things
            assert [replace(one, namespace="home") for one in memory.episodes(turn)] == lived
