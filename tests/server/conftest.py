"""Servers for the tests: one a module, or one of a test's own. The job engine allows one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from server.settings import Settings
from tests.server import scripted_server
from tests.server.browsing import chromium, page  # noqa: F401 - fixtures
from tests.server.served import Served, serve


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for the tests of a module."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"), encoder="hash", model="looker", job_poll_s=0.02, port=0
    )
    models = scripted_server.models()
    with serve(scripted_server.make(settings, models), models) as served:
        yield served


@pytest.fixture
def serving() -> Callable[[Settings], AbstractContextManager[Served]]:
    """Starts a server of the test's own; not beside `served`."""

    def start(settings: Settings) -> AbstractContextManager[Served]:
        models = scripted_server.models()
        return serve(scripted_server.make(settings, models), models)

    return start
