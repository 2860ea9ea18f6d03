"""The trial: the same tasks at each site, once with memory and once without, all arms side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from agent.worlds.catalogue import MAX_STEPS
from server.client import Client
from server.demo.host import Host

Arm = Literal["on", "off"]
ARMS: tuple[Arm, ...] = ("on", "off")


@dataclass(frozen=True, slots=True)
class Result:
    """One task done."""

    site: str
    arm: Arm
    number: int
    """0 for the first task at the site."""
    success: bool
    steps: int
    """A failure counts as the most there are: a rule broken early is no quick success."""
    text: str
    episode: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One agent at one site."""

    site: str
    arm: Arm
    namespace: str


def lanes(sites: Sequence[str]) -> tuple[Lane, ...]:
    """Every site twice; each lane has a namespace, so that nothing leaks from one to the other."""
    return tuple(Lane(site, arm, f"{site.replace(' ', '-')}-{arm}") for site in sites for arm in ARMS)


def run(
    host: Host, all_lanes: Sequence[Lane], n_tasks: int, on_result: Callable[[Lane, Result], None]
) -> tuple[Result, ...]:
    """All lanes at once, the tasks of a lane one after the other. Raises ApiError."""
    with ThreadPoolExecutor(len(all_lanes)) as pool:
        running = [pool.submit(_run_lane, host, lane, n_tasks, on_result) for lane in all_lanes]
        return tuple(result for future in running for result in future.result())


def _run_lane(
    host: Host, lane: Lane, n_tasks: int, on_result: Callable[[Lane, Result], None]
) -> list[Result]:
    results = []
    with host.client(lane.namespace) as client:
        offers = client.get("/v1/worlds/household/tasks", site=lane.site, n=n_tasks, seed=1)
        for number, offer in enumerate(offers):
            result = _run_task(client, lane, number, offer)
            on_result(lane, result)
            results.append(result)
    return results


def _run_task(client: Client, lane: Lane, number: int, offer: dict[str, Any]) -> Result:
    body = {"world": "household", "config": offer["config"], "memory": lane.arm, "seed": number}
    task = client.post("/v1/tasks", {**body, "wait": "learned" if lane.arm == "on" else "finished"})
    return Result(
        lane.site,
        lane.arm,
        number,
        task["outcome"] == "success",
        int(task["steps"]) if task["outcome"] == "success" else MAX_STEPS,
        task["text"],
        task["episode"],
    )
