"""How each step went: the miner's word against an oracle that sees the whole state."""

import copy
from dataclasses import replace
from random import Random

import pytest

from agent.learning.verdicts import judged
from agent.worlds.catalogue import SiteWorld, catalogue
from agent.worlds.sim import Simulation
from agent.worlds.site import held_out_sites
from agent.worlds.teacher import Knowledge, Teacher, full_knowledge
from memory.types import Episode, Message, StepVerdict, ToolCall
from tests.agent.logs import Line, episode

FAR = 99
"""Steps to go where the task is lost."""


def told(lines: list[Line], outcome: str = "success") -> list[str | None]:
    done = judged(episode(lines, outcome))  # type: ignore[arg-type]
    by_message = {one.message: one.verdict for one in done.verdicts}
    return [by_message.get(2 * place + 1) for place in range(len(lines))]


def test_an_error_is_put_right_by_a_step_of_its_aim() -> None:
    """Another machine heats the same egg; what lay between was no recovery; an open error stays one."""
    lines: list[Line] = [
        ("heat egg with stove 1", "stove 1 is broken.", False),
        ("go to stove 2", "you are at stove 2.", True),
        ("heat egg with stove 2", "it is hot.", True),
        ("heat egg with stove 2", "it is hotter.", True),
    ]
    assert told(lines) == ["error", "ok", "recovery", "ok"]
    assert told(lines, "failure") == ["error", None, "recovery", None]


def test_one_recovery_is_enough() -> None:
    """The right step closes the aim; a later one of the same aim is just right."""
    taken: Line = ("take mug from desk 1", "you have it.", True)
    refused: Line = ("take mug from desk 2", "nothing happens.", False)
    assert told([refused, taken, ("put mug on desk 1", "done.", True), taken]) == [
        "error",
        "recovery",
        "ok",
        "ok",
    ]


def test_wasted_visits_are_no_errors() -> None:
    """Training leaves them out; the first error is what was wrong when it was done."""
    lines: list[Line] = [
        ("go to desk 1", "on desk 1 you see pen.", True),
        ("go to desk 2", "on desk 2 you see mug.", True),
        ("take cup from desk 2", "nothing happens.", False),
        ("take mug from desk 2", "you have it.", True),
    ]
    done = judged(episode(lines))
    assert done.verdicts[0] == StepVerdict(1, "ok", "wasted")
    assert done.messages[1].ok is False
    assert done.first_error == 5


def test_what_a_model_or_a_world_judged_is_not_judged_again() -> None:
    """Judging is idempotent, and the miner does not overrule."""
    done = judged(episode([("fly", "nothing happens.", False)]))
    assert judged(done) == done
    said = replace(done, verdicts=(StepVerdict(1, "ok", by="world"),))
    assert judged(said) == said


def test_of_several_calls_in_a_message_the_worst_counts() -> None:
    """A message has one verdict; calls with arguments are of their tool's aim."""
    calls = tuple(ToolCall(f"c{i}", "search", {"query": i}) for i in range(2))
    later = ToolCall("c3", "search", {"query": "mug"})
    messages = (
        Message("assistant", kind="act", tool_calls=calls),
        Message("tool", "found", kind="observe", tool_call_id="c0", ok=True),
        Message("tool", "bad arguments", kind="observe", tool_call_id="c1", ok=False),
        Message("assistant", kind="act", tool_calls=(later,)),
        Message("tool", "a mug", kind="observe", tool_call_id="c3", ok=True),
    )
    done = judged(replace(episode([]), messages=messages))
    assert [(one.message, one.verdict) for one in done.verdicts] == [(0, "error"), (3, "recovery")]


def to_go(sim: Simulation) -> int:
    """Steps that a shortest way still takes."""
    ahead = copy.deepcopy(sim)
    teacher = Teacher(ahead, full_knowledge(ahead.site))
    for taken in range(FAR):
        if ahead.state.over:
            return taken if ahead._reached() else FAR
        ahead.step(teacher.decide()[1])
    return FAR


def slip(sim: Simulation, rng: Random) -> str:
    """A step that does not belong here: out of reach, to somewhere else, or with the wrong thing.

    A look around is left out: it leads nowhere either, but no log tells it from care.
    """
    place, thing = rng.choice(sim.site.listing), rng.choice(list(sim.site.homes))
    return rng.choice([f"open {place}", f"take {thing} from {sim.state.at}", f"go to {place}"])


async def lived(task_number: int, site: str, rng: Random) -> tuple[Episode, list[bool]]:
    """An attempt of a teacher that knows nothing and slips now and then, and where the oracle sees errors.

    An error brings the goal no nearer and shows nothing that had not been seen.
    """
    task = catalogue("household").tasks(site=site, split="work", n=8)[task_number]
    world = catalogue("household").make()
    await world.reset(task)
    assert isinstance(world, SiteWorld)
    sim = world._running()
    sim.max_steps = 2 * FAR
    teacher = Teacher(sim, Knowledge())
    lines: list[Line] = []
    wrong: list[bool] = []
    seen: set[tuple[str | None, bool]] = set()
    left = to_go(sim)
    while not sim.state.over:
        command = slip(sim, rng) if rng.random() < 0.15 else teacher.decide()[1]
        answer = sim.step(command)
        teacher.saw(command, answer.text)
        now, looked = to_go(sim), (sim.state.at, sim.state.at in sim.state.opened)
        is_lost = answer.outcome == "failure"
        wrong.append(is_lost or (now >= left and (looked in seen or answer.ok is False)))
        lines.append((command, answer.text, answer.ok))
        seen.add(looked)
        left = now
    done = episode(lines, "failure" if is_lost else "success", id=f"{site}/{task_number}", family=site)
    return done, wrong


@pytest.mark.parametrize("seed", [0, 1])
async def test_first_error_is_where_the_oracle_sees_it(seed: int) -> None:
    """On the household teacher's logs the first error is exact in nine of ten; recoveries follow errors."""
    rng = Random(seed)
    exact = []
    for site in held_out_sites(10):
        for number in range(8):
            done, wrong = await lived(number, site, rng)
            verdicts = judged(done)
            first = next((2 * place + 1 for place, one in enumerate(wrong) if one), None)
            exact.append(verdicts.first_error == first)
            errors = 0
            for one in verdicts.verdicts:
                assert one.verdict != "recovery" or errors
                errors += one.verdict == "error"
    assert sum(exact) >= 0.9 * len(exact)
