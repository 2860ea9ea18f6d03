"""AgentGym's HTTP API both ways: what is served is what is played, whoever asks."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from agent.types import Observation, Task, World
from agent.worlds.catalogue import SiteCatalogue, SiteWorld, catalogue
from agent.worlds.gym import Gym, GymServer
from memory.errors import BadInput, NotFound, WorldError
from memory.types import ToolCall
from server.gym import MOST, Rooms, create_gym
from server.settings import Settings
from server.worlds import Worlds, others

SITE, N = "maple 27", 6
KIND = catalogue("household")
TASKS = KIND.tasks(site=SITE, split="work", n=N)


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The address of an app on a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [free]}, daemon=True)
        thread.start()
        for _ in range(1200):
            if server.started:
                break
            time.sleep(0.05)
        assert server.started
        yield f"http://127.0.0.1:{free.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=60)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with listening(create_gym("household", KIND.make, TASKS)) as url:
        yield url


@pytest.fixture
def gym(url: str) -> Gym:
    return Gym(GymServer("far household", url, {"work": range(4), "gate": range(4, N)}))


async def played(world: World, task: Task, commands: tuple[str, ...]) -> list[Observation]:
    opening = await world.reset(task)
    return [opening, *[await world.step(ToolCall("c", "act", {"command": one})) for one in commands]]


async def right_way(task: Task) -> tuple[str, ...]:
    """The oracle's commands, which the served world never tells."""
    world = KIND.make()
    assert isinstance(world, SiteWorld)
    await world.reset(task)
    way: list[str] = []
    while expert := world.expert():
        way.append(expert[0])
        await world.step(ToolCall("c", "act", {"command": expert[0]}))
    return tuple(way)


async def test_a_world_served_and_consumed_plays_as_it_does_directly(gym: Gym) -> None:
    """Openings, answers, ends, outcomes and rewards are equal, on the right way and on a wrong one."""
    far = {task.text: task for task in gym.all("far household")}
    assert set(far) == {task.text for task in TASKS}
    consumed, direct = gym.make(), KIND.make()
    for task in TASKS:
        for way in (await right_way(task), ("fly away", *["look"] * (task.max_steps - 1))):
            assert await played(consumed, far[task.text], way) == await played(direct, task, way)
    consumed.close()


async def test_two_environments_at_one_server_do_not_meet(gym: Gym) -> None:
    """Each world has an environment of its own, also for the same task."""
    (task,) = gym.tasks(site="far household", split="work", n=1)
    near = next(one for one in TASKS if one.text == task.text)
    way = await right_way(near)
    one, other = gym.make(), gym.make()
    await one.reset(task)
    await other.reset(task)
    for command in way:
        last = await one.step(ToolCall("c", "act", {"command": command}))
    assert last.outcome == "success"
    assert (await other.step(ToolCall("c", "act", {"command": "look"}))).done is False


def test_tasks_of_a_server_are_drawn_by_seed_and_keep_their_split(gym: Gym) -> None:
    """What `/reset` is sent is the task's configuration."""
    tasks = gym.tasks(site="far household", split="gate", n=2, seed=1)
    assert tasks == gym.tasks(site="far household", split="gate", n=2, seed=1)
    assert {gym.split_of(task) for task in tasks} == {"gate"}
    assert gym.task(tasks[0].config) == tasks[0]
    assert {task.config["data_idx"] for task in tasks} == {4, 5}
    for bad in ({"data_idx": N}, {"game": 1}):
        with pytest.raises(BadInput, match="is no task of 'far household'"):
            gym.task(bad)
    with pytest.raises(BadInput, match="there are work, gate"):
        gym.tasks(site="far household", split="test", n=1)


def test_the_api_is_as_clients_of_agentgym_expect_it(url: str) -> None:
    """Create, reset, step, observe, close; errors are told with status 200, as its own servers do."""
    with httpx.Client(base_url=url) as client:
        assert client.get("/").json() == "This is environment household."
        number = client.post("/create").json()["id"]
        began = client.post("/reset", json={"id": number, "data_idx": 0}).json()
        assert began["task_description"] == TASKS[0].text
        assert (began["reward"], began["done"]) == (0.0, False)
        assert client.get("/observation", params={"id": number}).json() == began["observation"]
        went = client.post("/step", json={"id": number, "action": "fly away"}).json()
        assert (went["done"], went["reward"], went["ok"]) == (False, 0.0, False)
        assert client.get("/detail", params={"id": number}).json() == went
        assert client.get("/available_actions", params={"id": number}).json() == []
        assert "there is no task 99" in client.post("/reset", json={"id": number, "game": 99}).json()["error"]
        assert client.post("/close", json={"id": number}).json() == {"closed": True}
        gone = client.post("/step", json={"id": number, "action": "look"})
        assert (gone.status_code, "no environment" in gone.json()["error"]) == (200, True)


async def test_a_server_that_is_not_there_breaks_the_world_and_says_where() -> None:
    """Its episodes are `infra`, not failures of the agent."""
    gym = Gym(GymServer("nowhere", "http://127.0.0.1:9", {"work": range(1)}))
    with pytest.raises(
        WorldError, match=r"the AgentGym server at http://127\.0\.0\.1:9 did not answer /create"
    ):
        await gym.make().reset(TASKS[0])
    with pytest.raises(BadInput, match="begin with http"):
        Gym(GymServer("nowhere", "127.0.0.1:9", {}))


async def test_dialects_of_other_servers_are_understood() -> None:
    """A score that counts to 100, an environment called `env_id`, a list of what can be done, no `/close`."""
    app = FastAPI()

    @app.post("/create")
    async def create() -> dict[str, str]:
        return {"env_id": "a-7"}

    @app.post("/reset")
    async def reset(body: dict[str, object]) -> dict[str, object]:
        assert body == {"env_id": "a-7", "game": 3, "world_type": "Text"}
        return {"observation": "a hall", "available_actions": ["go on", "stop"]}

    @app.post("/step")
    async def step(body: dict[str, object]) -> dict[str, object]:
        far = body["action"] == "go on"
        return {"observation": "on", "reward": 60, "score": 60 if far else 100, "done": True}

    with listening(app) as url:
        server = GymServer("halls", url, {"all": range(5)}, "game", {"world_type": "Text"}, full=100)
        gym = Gym(server)
        task = gym.task({"game": 3})
        assert task.text == "a hall"
        world = gym.make()
        await world.reset(task)
        assert world.commands() == ("go on", "stop")
        assert world.channel("act") == "external"
        assert "enum" in str(world.tools()[0].parameters)
        seen = await world.step(ToolCall("c", "act", {"command": "go on"}))
        assert (seen.done, seen.outcome, seen.reward) == (True, "failure", 0.6)
        with pytest.raises(WorldError, match="call reset first"):
            await world.step(ToolCall("c", "act", {"command": "go on"}))
        await world.reset(task)
        seen = await world.step(ToolCall("c", "act", {"command": "stop"}))
        assert (seen.outcome, seen.reward) == ("success", 1.0)
        world.close()


async def test_a_server_of_the_settings_is_a_world_of_ours(url: str) -> None:
    """An operator names it; its tasks are listed, rebuilt and played like those of bundled worlds."""
    at = {"url": url, "splits": {"all": [0, N]}}
    worlds = Worlds(others=others(Settings.model_validate({"gyms": {"far": at}})))
    assert worlds.names == ("household", "workshop", "estate", "city", "far", "tools")
    (task,) = worlds.catalogue("far").tasks(site="far", split="all", n=1)
    assert worlds.task("far", task.config) == task
    world = await worlds.enter(task, "default")
    assert (await world.reset(task)).text == (await KIND.make().reset(TASKS[0])).text
    with pytest.raises(NotFound, match="there are household, workshop, estate, city, far"):
        worlds.catalogue("near")
    with pytest.raises(BadInput, match="a world is called 'city' already"):
        others(Settings.model_validate({"gyms": {"city": at}}))


def test_a_world_of_others_that_cannot_be_opened_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server starts; who sets a task there is told what is missing: the package, or then the games."""
    monkeypatch.setenv("APPRENTICE_WORLDS", "scienceworld, alfworld")
    settings = Settings()
    assert settings.worlds == ("scienceworld", "alfworld")
    with pytest.raises(BadInput, match=r"run `pip install alfworld`|set `alfworld_data`"):
        Worlds(others=others(settings)).task("alfworld", {})


async def test_environments_that_nobody_closes_make_room() -> None:
    """The number at a time is bounded; the one that was longest idle goes."""
    rooms = Rooms(SiteCatalogue("household").make, TASKS)
    first = rooms.create()
    second = rooms.create()
    await rooms.reset(first, 0)
    for _ in range(MOST - 1):
        rooms.create()
    assert rooms.told(first).task_description == TASKS[0].text
    answers: list[bool | None] = []
    for number in (first, second):
        try:
            answers.append((await rooms.reset(number, 1)).done)
        except NotFound:
            answers.append(None)
    assert answers == [False, None]
