"""The model that every test of this room starts from."""

from pathlib import Path

import pytest

from agent.models.local.chat import Chat
from tests.distill.tiny import make_folder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def chat(base: Path) -> Chat:
    return Chat.open(base)
