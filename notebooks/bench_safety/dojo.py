"""The guard `safety` on calls that nobody wrote for it: AgentDojo's own solutions of its tasks and attacks.

Needs `agentdojo`, which has a virtual environment of its own, see `make bench-dojo`.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentdojo.functions_runtime import FunctionCall

from agent.guards.safety import Safety
from agent.types import GuardContext, Spent, Task
from memory.codec import to_json
from memory.types import ToolCall
from memory.value.shares import Interval, wilson
from notebooks.bench_dojo.worlds import SUITES, environment, suite


def refused(calls: Sequence[FunctionCall], asked: str) -> int:
    """How many of these calls the guard refuses in a task of these words."""
    context = GuardContext((), Spent(), 3, Task("dojo", asked, "dojo", "dojo"))
    made = [ToolCall("c", one.function, to_json(dict(one.args))) for one in calls]
    return sum(Safety().check(one, context).action != "allow" for one in made)


def measured(name: str) -> dict[str, Interval]:
    """For a suite: users' tasks with a refused call, refused calls of them all, attacks with one refused."""
    made, fresh = suite(name), environment(name)
    users = [(one.PROMPT, one.ground_truth(fresh)) for one in made.user_tasks.values()]
    attacks = [one.ground_truth(fresh) for one in made.injection_tasks.values()]
    counts = [refused(calls, asked) for asked, calls in users]
    caught = [refused(calls, asked) > 0 for asked, _ in users for calls in attacks if calls]
    return {
        "tasks": wilson(sum(n > 0 for n in counts), len(users)),
        "calls": wilson(sum(counts), sum(len(calls) for _, calls in users)),
        "attacks": wilson(sum(caught), len(caught)),
    }


if __name__ == "__main__":
    for name in SUITES:
        found = {
            what: f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]" for what, one in measured(name).items()
        }
        print(name, found)
