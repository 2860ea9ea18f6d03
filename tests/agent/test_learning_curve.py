"""The claim itself, small: at sites it has never seen, the bundled model does better with its own memory."""

import asyncio
from pathlib import Path

from agent.loop import Agent
from agent.models.local.model import LocalModel
from agent.opening import Run
from agent.worlds.catalogue import MAX_STEPS, catalogue
from agent.worlds.site import held_out_sites
from memory.core import Memory
from memory.encoder import HashEncoder

TINY = Path(__file__).parent.parent.parent / "agent" / "models" / "tiny"
SITES = held_out_sites(4)
N_TASKS = 16


async def work(model: LocalModel, memory: Memory, site: str, *, learns: bool) -> list[bool]:
    """Which tasks of a site were solved, done in order, learning after each or never."""
    kind, agent = catalogue("household"), Agent(model, memory)
    namespace, solved = f"{site}/{learns}", []
    for number, task in enumerate(kind.tasks(site=site, split="work", n=N_TASKS, seed=1)):
        run = Run(namespace, "test", f"{namespace}/{number}", memory="learn" if learns else "off")
        episode = await agent.run(task, kind.make(), run)
        assert episode.steps <= MAX_STEPS
        if learns:
            await agent.learn(episode)
        solved.append(episode.outcome == "success")
    return solved


async def test_memory_beats_the_control_on_the_same_tasks(tmp_path: Path) -> None:
    """Same model, tasks and sites; only memory differs. In the second half it has something to say."""
    model = LocalModel.load(TINY, name="local:tiny")
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as memory:
        lanes = [work(model, memory, site, learns=learns) for site in SITES for learns in (True, False)]
        solved = await asyncio.gather(*lanes)
    model.close()
    late = [sum(lane[N_TASKS // 2 :]) for lane in solved]
    n = len(SITES) * N_TASKS // 2
    with_memory, without = sum(late[0::2]) / n, sum(late[1::2]) / n
    assert with_memory - without >= 0.2, f"{with_memory:.2f} with memory, {without:.2f} without"
