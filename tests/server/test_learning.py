"""The bundled model learns on the job: fixed sites, fixed tasks, over HTTP."""

from __future__ import annotations

from pathlib import Path

from agent.worlds.site import held_out_sites
from server.demo.host import Host
from server.demo.trial import lanes, run

TASKS = 8


def test_an_agent_with_memory_does_better_than_the_same_one_without(tmp_path: Path) -> None:
    """At two sites it has never seen, the same tasks in the same order, no weight changed in between."""
    with Host.start(tmp_path, model="local:tiny") as host:
        all_lanes = lanes(held_out_sites(2))
        results = run(host, all_lanes, TASKS, lambda _lane, _result: None)
        learned = [lane for lane in all_lanes if lane.arm == "on"]
        for lane in learned:
            with host.client(lane.namespace) as client:
                cases = client.get("/v1/memory", kind="case")["data"]
                assert cases
                assert all(case["lineage"]["evidence"] for case in cases)
    won = {arm: sum(result.success for result in results if result.arm == arm) for arm in ("on", "off")}
    assert won["on"] > won["off"]
