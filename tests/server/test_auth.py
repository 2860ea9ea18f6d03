"""Keys: hashed, bound to a namespace and a role, expiring, revoked, changed while a server reads them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from memory.errors import BadInput, NotFound, StoreError
from server.auth import Identity, Keys
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
