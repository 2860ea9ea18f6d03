"""Planners `search` and `explore` at a bundled site."""

from __future__ import annotations

import json
import random
from dataclasses import replace

from agent.loop import Agent
from agent.models.scripted import FunctionModel
from agent.opening import Run
from agent.planners.explore import Explore
from agent.planners.search import Search
from agent.types import Budget
from agent.worlds.catalogue import SiteCatalogue, SiteWorld
from memory.types import Message, ToolCall

LONG = Run("ns", "ann", "e1", budget=Budget(max_steps=60))


async def test_searches_run_at_a_bundled_site() -> None:
    """A model that is mostly right, both planners, worlds that are put back on the way."""
    tasks = SiteCatalogue("household")
    for task in tasks.tasks(site="maple 27", split="work", n=2):
        for planner in (Search(imagines=False), Explore(simulates=False, expects=False, most=40)):
            world, rng = SiteWorld(tasks), random.Random(3)

            def speak(
                messages: tuple[Message, ...], world: SiteWorld = world, rng: random.Random = rng
            ) -> Message:
                if '"effect"' in messages[-1].text:
                    far = sum(bool(one.tool_calls) for one in messages)
                    return Message("assistant", json.dumps({"effect": min(10, far), "promise": 5}))
                said = world.expert()[0] if rng.random() < 0.85 else "look"
                return Message("assistant", "", tool_calls=(ToolCall("", "act", {"command": said}),))

            agent = Agent(FunctionModel(speak), None, planner=planner)
            episode = await agent.run(replace(task, max_steps=60), world, LONG)
            assert episode.outcome == "success"
