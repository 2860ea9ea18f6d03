"""A world as docs/guides/world.md builds one: set by configuration, played by the server."""

import re
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from memory.errors import BadInput
from server.settings import Settings
from server.wiring import Parts, build
from server.worlds import Worlds, others
from tests.server import scripted_server
from tests.server.served import serve

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "world.md"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The guide's world as a module of its own; no two tests share its name."""
    (code,) = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    name = f"worlds_of_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(code.partition("\n\nsafes = ")[0], "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def settings_of(worlds: str, tmp_path: Path) -> Settings:
    data = tmp_path / "data"
    return Settings.model_validate(
        {
            "worlds": worlds,
            "data_dir": data,
            "encoder": "hash",
            "model": "looker",
            "job_poll_s": 0.02,
            "port": 0,
        }
    )


def test_a_world_of_ones_own_is_served(module: str, tmp_path: Path) -> None:
    """It lists its tasks, one is set and played to its end, and bad input is answered as the world says."""
    models = scripted_server.models()
    services = build(settings_of(f"safe={module}:Safes", tmp_path), Parts(models=models))
    with serve(services, models) as served, served.client() as client:
        told = client.get("/v1/worlds/safe/tasks", params={"site": "Mrs Oake", "split": "train"}).json()
        assert [one["config"]["wish"] for one in told] == ["open", "unlock"]
        order = {"world": "safe", "config": told[0]["config"], "wait": "learned"}
        task = client.post("/v1/tasks", json=order).raise_for_status().json()
        assert (task["outcome"], task["steps"]) == ("failure", 10)
        episode = client.get(f"/v1/episodes/{task['episode']}").json()
        assert "'look' is no number" in str(episode["messages"])
        refused: httpx.Response = client.post("/v1/tasks", json={"world": "safe", "config": {"site": "x"}})
    assert refused.status_code == 422
    assert "give `site` and `wish`" in refused.text


def test_what_cannot_be_opened_is_named_with_the_remedy(module: str, tmp_path: Path) -> None:
    """A name unknown or taken, a module that is not there, a world that calls itself otherwise."""
    with pytest.raises(ValidationError, match=r"no world is called 'moon'.*name=module:catalogue"):
        settings_of("moon", tmp_path)
    with pytest.raises(BadInput, match="a world is called 'city' already"):
        others(settings_of(f"city={module}:Safes", tmp_path))
    for worlds, match in (
        ("safe=no_such_module:Safes", "the world 'no_such_module:Safes' cannot be imported"),
        (f"safe={module}:Chests", "cannot be imported as module:function"),
        (f"chest={module}:Safes", f"set it as safe={module}:Safes"),
    ):
        opened = Worlds(others=others(settings_of(worlds, tmp_path)))
        with pytest.raises(BadInput, match=match):
            opened.catalogue(worlds.partition("=")[0])
