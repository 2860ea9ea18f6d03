"""Keys: hashed, bound to a namespace and a role, expiring, revoked, changed while a server reads them."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import pytest

from memory.errors import BadInput, Conflict, NotFound, StoreError
from server.auth import Identity, Keys, write_private
from server.key_use import KeyUse
from server.settings import Settings
from server.wiring import build, first_key


class Clock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> Keys:
    return Keys(tmp_path / "keys.json", clock=clock)


def test_a_key_for_all_is_an_operators(keys: Keys) -> None:
    """What every namespace reads is written by nobody else."""
    for role in ("user", "read-only"):
        with pytest.raises(BadInput, match=r"'\*'.* needs the role operator"):
            keys.create("*", role)  # type: ignore[arg-type]
    _, secret = keys.create("*", "operator")
    assert keys.identify(secret) is not None


def test_a_key_opens_its_namespace_in_its_role(keys: Keys) -> None:
    """Identity and trust channel come from the key alone."""
    key, secret = keys.create("house", "user")
    assert keys.identify(secret) == Identity("house", f"key:{key.id}", "user")
    assert Identity("house", "key:x", "user").channel == "user"
    assert Identity("house", "key:x", "operator").channel == "operator"


def test_what_is_no_key_opens_nothing(keys: Keys) -> None:
    """Neither a stranger's, nor a hash, nor nothing at all."""
    key, _ = keys.create("house", "user")
    for wrong in ("apk_wrong", key.hash, key.id, ""):
        assert keys.identify(wrong) is None


def test_a_revoked_key_opens_nothing_any_more(keys: Keys) -> None:
    """The others go on; revoking twice keeps the first time."""
    key, secret = keys.create("house", "user")
    _, other = keys.create("house", "user")
    first = keys.revoke(key.id)
    assert keys.revoke(key.id) == first
    assert keys.identify(secret) is None
    assert keys.identify(other) is not None
    with pytest.raises(NotFound):
        keys.revoke("nobody")


def test_a_key_expires(keys: Keys, clock: Clock) -> None:
    """To the second."""
    _, secret = keys.create("house", "user", ttl_s=60.0)
    clock.now += 59.0
    assert keys.identify(secret) is not None
    clock.now += 1.0
    assert keys.identify(secret) is None


def test_a_rotated_key_keeps_its_id_and_overlaps(keys: Keys, clock: Clock) -> None:
    """Both secrets open until the overlap ends; the holder stays the same in the log."""
    key, old = keys.create("house", "user", ttl_s=100.0, scopes=["chat"])
    clock.now += 90.0
    turned, new = keys.rotate(key.id, overlap_s=5.0)
    assert (turned.id, turned.expires_at) == (key.id, clock.now + 100.0)
    assert (
        keys.identify(old)
        == keys.identify(new)
        == Identity("house", f"key:{key.id}", "user", frozenset(["chat"]))
    )
    clock.now += 5.0
    assert keys.identify(old) is None
    assert keys.identify(new) is not None
    assert len(keys.all()) == 1
    _, newest = keys.rotate(key.id, overlap_s=5.0)
    _, last = keys.rotate(key.id)
    assert [keys.identify(secret) is None for secret in (old, new, newest, last)] == [True, True, True, False]


def test_what_opens_nothing_is_not_rotated(keys: Keys, clock: Clock) -> None:
    """Neither a revoked key, nor an expired one, nor another namespace's."""
    revoked, _ = keys.create("house", "user")
    keys.revoke(revoked.id)
    expired, _ = keys.create("house", "user", ttl_s=1.0)
    clock.now += 2.0
    for key in (revoked, expired):
        with pytest.raises(Conflict, match="make another"):
            keys.rotate(key.id)
    mine, secret = keys.create("house", "user")
    for change in (keys.rotate, keys.revoke):
        with pytest.raises(NotFound):
            change(mine.id, namespace="elsewhere")
    assert keys.identify(secret) is not None


def test_scopes_are_known_names(keys: Keys) -> None:
    """Some, or none given for all; an unknown one and an empty list are refused."""
    _, secret = keys.create("house", "agent", scopes=["tasks", "chat", "chat"])
    found = keys.identify(secret)
    assert found is not None
    assert found.scopes == {"chat", "tasks"}
    for wrong in (["root"], []):
        with pytest.raises(BadInput, match="must be some of chat"):
            keys.create("house", "user", scopes=wrong)


def test_key_files_of_earlier_releases_open(tmp_path: Path) -> None:
    """What they did not know yet is what it was: no scopes, never rotated."""
    secret = "apk_of-old"
    row = {
        "id": "3f2a",
        "hash": hashlib.sha256(secret.encode()).hexdigest(),
        "namespace": "house",
        "role": "user",
        "label": "",
        "created_at": 1.0,
        "expires_at": None,
        "revoked_at": None,
    }
    (tmp_path / "keys.json").write_text(json.dumps([row]), "utf-8")
    keys = Keys(tmp_path / "keys.json")
    assert keys.identify(secret) == Identity("house", "key:3f2a", "user")
    keys.revoke("3f2a")
    assert keys.identify(secret) is None


def test_when_a_key_was_used_is_written_once_a_minute(tmp_path: Path, clock: Clock) -> None:
    """And servers of one folder add to each other's times; a broken file costs the times alone."""
    path = tmp_path / "used.json"
    one, other = KeyUse(path, clock), KeyUse(path, clock)
    one.note("key:a")
    assert not path.exists()
    clock.now += 60.0
    one.note("key:a")
    assert json.loads(path.read_text("utf-8")) == {"key:a": clock.now}
    other.note("key:b")
    assert other.all() == {"key:a": clock.now, "key:b": clock.now}
    path.write_text("[1", "utf-8")
    assert one.all() == {"key:a": clock.now}


def test_the_secret_is_stored_nowhere(keys: Keys, tmp_path: Path) -> None:
    """And nobody else on the machine may read the file."""
    _, secret = keys.create("house", "user")
    path = tmp_path / "keys.json"
    assert secret not in path.read_text("utf-8")
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("namespace", ["", "system", "canary", "a/b", "../x", "-x", "x" * 65, "ä"])
def test_a_namespace_is_a_plain_name(keys: Keys, namespace: str) -> None:
    """It becomes part of job addresses."""
    with pytest.raises(BadInput):
        keys.create(namespace, "user")


def test_a_running_server_sees_keys_made_elsewhere(tmp_path: Path) -> None:
    """Two objects on one file, as two processes have."""
    mine, theirs = Keys(tmp_path / "keys.json"), Keys(tmp_path / "keys.json")
    assert mine.all() == ()
    key, secret = theirs.create("house", "user")
    assert mine.identify(secret) is not None
    theirs.revoke(key.id)
    assert mine.identify(secret) is None


def test_keys_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    """Forty from eight threads with an object each."""

    def make(n: int) -> None:
        keys = Keys(tmp_path / "keys.json")
        for _ in range(5):
            keys.create(f"house{n}", "user")

    threads = [threading.Thread(target=make, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Keys(tmp_path / "keys.json").all()) == 40


def test_a_broken_key_file_is_told(keys: Keys, tmp_path: Path) -> None:
    """Not taken for an empty one."""
    (tmp_path / "keys.json").write_text('[{"id": 1}]', "utf-8")
    with pytest.raises(StoreError, match=r"keys\.json"):
        keys.identify("apk_x")


def test_the_first_start_makes_an_operator_key_once(tmp_path: Path) -> None:
    """Its secret lies in the data folder; later starts make none."""
    settings = Settings(data_dir=tmp_path)
    services = build(settings)
    path = first_key(settings, services.keys)
    assert path is not None
    identity = services.keys.identify(path.read_text("utf-8"))
    assert identity is not None
    assert (identity.namespace, identity.role) == ("default", "operator")
    assert first_key(settings, services.keys) is None


def test_servers_that_start_together_make_one_first_key(tmp_path: Path) -> None:
    """Whoever finds that another was faster makes none, though there was none when it looked."""
    one, other = Keys(tmp_path / "keys.json"), Keys(tmp_path / "keys.json")
    assert one.all() == other.all() == ()
    made = one.first("default", "operator")
    assert made is not None
    assert other.first("default", "operator") is None
    assert other.all() == (made[0],)


def test_processes_of_one_number_write_one_file(tmp_path: Path) -> None:
    """As servers in containers are: each text arrives whole, nothing is left beside it."""
    path, texts = tmp_path / "keys.json", tuple(letter * 200_000 for letter in "abcd")
    failed: list[BaseException] = []

    def write(text: str) -> None:
        try:
            for _ in range(10):
                write_private(path, text)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert path.read_text("utf-8") in texts
    assert list(tmp_path.iterdir()) == [path]
