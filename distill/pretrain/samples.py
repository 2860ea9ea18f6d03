"""Training samples: questions about memory, episodes of a teacher, and reflections on them.

Every sample is drawn from a fresh site, so the only way to answer is to read the prompt. Prompts are made by
`agent.prompt`, exactly as they are when the model serves.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

from agent.prompt import reflection_text
from agent.types import Observation, Task
from agent.worlds.sim import Simulation
from agent.worlds.site import Site, wordings
from agent.worlds.teacher import Knowledge, Teacher
from distill.pretrain.sheets import (
    Curriculum,
    Sheet,
    draw_goal,
    draw_sheet,
    draw_site,
    home_sentence,
    opening,
)
from memory.types import Message, Outcome

MAX_STEPS = 14
UNKNOWN = "i do not know."


def sample(seed: str, curriculum: Curriculum) -> tuple[Message, ...]:
    """One training conversation; what trains are the assistant's messages whose weight is not 0."""
    rng = random.Random(seed)
    site = draw_site(rng, seed)
    draw = rng.random()
    if draw < curriculum.at(curriculum.questions):
        return questions(rng, site, curriculum)
    if draw < curriculum.at(curriculum.questions) + curriculum.at(curriculum.reflections):
        return reflection(rng, site, curriculum)
    return episode(rng, site, curriculum)


def questions(rng: random.Random, site: Site, curriculum: Curriculum) -> tuple[Message, ...]:
    """A prompt with memory and several questions on it, each answered by copying or by not knowing."""
    sheet = draw_sheet(rng, site, None, curriculum)
    goal = draw_goal(rng, site)
    sim = Simulation(site, goal, max_steps=MAX_STEPS, wording_seed=str(rng.random()))
    task = Task("", wordings(site, goal)[goal.wording], site.domain.name, site.name)
    messages = opening(sheet, task, Observation(sim.opening() if rng.random() < 0.5 else ""))
    if rng.random() < 0.7:  # mostly as a chat: no task at all
        messages.pop()
    asked = [maker(rng, site, sheet) for maker in rng.choices(_QUESTIONS, weights=(6, 1, 2, 1, 2, 1), k=8)]
    for question, answer in asked:
        messages += [Message("user", question, kind="task"), Message("assistant", answer, kind="answer")]
    return tuple(messages)


def _where(rng: random.Random, site: Site, sheet: Sheet) -> tuple[str, str]:
    known = list(sheet.known.homes)
    thing = rng.choice(known) if known and rng.random() < 0.8 else rng.choice(site.domain.things)
    return f"where is {thing}?", home_sentence(site, thing) if thing in sheet.known.homes else UNKNOWN


def _first(_: random.Random, __: Site, sheet: Sheet) -> tuple[str, str]:
    return "what comes first?", sheet.known.entry or UNKNOWN


def _with_what(rng: random.Random, site: Site, sheet: Sheet) -> tuple[str, str]:
    verb = rng.choice(list(site.machines))
    machine = sheet.known.works.get(verb)
    return f"{verb} with what?", f"{verb} with {machine}." if machine else UNKNOWN


def _close(_: random.Random, __: Site, sheet: Sheet) -> tuple[str, str]:
    return "must i close things?", "close things before you go." if sheet.known.close else UNKNOWN


def _needs(rng: random.Random, site: Site, sheet: Sheet) -> tuple[str, str]:
    machines = [machine.place for pair in site.machines.values() for machine in pair]
    known = list(sheet.known.preparations)
    machine = rng.choice(known) if known and rng.random() < 0.6 else rng.choice(machines)
    need = sheet.known.preparations.get(machine)
    return f"what does {machine} need?", f"{machine} needs {need}." if need else UNKNOWN


def _may_open(rng: random.Random, site: Site, sheet: Sheet) -> tuple[str, str]:
    closed = [place for place in site.storage if site.domain.is_closed(place)]
    forbidden = list(sheet.known.forbidden)
    place = rng.choice(forbidden) if forbidden and rng.random() < 0.5 else rng.choice(closed)
    return f"may i open {place}?", f"do not open {place}." if place in sheet.known.forbidden else "yes."


_QUESTIONS: tuple[Callable[[random.Random, Site, Sheet], tuple[str, str]], ...] = (
    _where,
    _first,
    _with_what,
    _close,
    _needs,
    _may_open,
)


def episode(rng: random.Random, site: Site, curriculum: Curriculum) -> tuple[Message, ...]:
    """A teacher at work with some memory; now and then its hand slips (weight 0) and it recovers."""
    goal = draw_goal(rng, site)
    sheet = draw_sheet(rng, site, goal.things[0], curriculum)
    sim = Simulation(site, goal, max_steps=MAX_STEPS, wording_seed=str(rng.random()))
    task = Task("", wordings(site, goal)[goal.wording], site.domain.name, site.name)
    messages = opening(sheet, task, Observation(sim.opening()))
    slip = 0.12 if rng.random() < 0.6 else 0.0
    steps, _ = roll_out(rng, sim, sheet.known, slip=slip)
    for said, weight, seen in steps:
        messages.append(Message("assistant", said, kind="act", weight=weight))
        messages.append(Message("tool", seen, kind="observe"))
    return tuple(messages[:-1])


def roll_out(
    rng: random.Random, sim: Simulation, known: Knowledge, *, slip: float
) -> tuple[list[tuple[str, float, str]], Outcome]:
    """(what the teacher said, weight, what the world answered) per step, and the outcome."""
    teacher = Teacher(sim, copy.deepcopy(known))
    steps = []
    while True:
        thought, command = teacher.decide()
        weight = 1.0
        if rng.random() < slip:
            command, weight = _slip(rng, sim, command), 0.0
        observation = sim.step(command)
        teacher.saw(command, observation.text)
        steps.append((f"{thought} > {command}", weight, observation.text))
        if observation.done:
            return steps, observation.outcome or "failure"


def _slip(rng: random.Random, sim: Simulation, command: str) -> str:
    """What models get wrong: another place, one that is not there, where they stand, the wrong verb."""
    place = sim.state.at or rng.choice(sim.site.listing)
    elsewhere = f"{place.split()[0]} {rng.randint(1, 20)}"
    wrong = (f"go to {rng.choice(sim.site.listing)}", f"go to {elsewhere}", f"go to {place}", f"open {place}")
    return rng.choice([other for other in wrong if other != command])


def reflection(rng: random.Random, site: Site, curriculum: Curriculum) -> tuple[Message, ...]:
    """The log of an episode and what a careful reader would write down, each line with its evidence."""
    goal = draw_goal(rng, site)
    sheet = draw_sheet(rng, site, goal.things[0], curriculum)
    sim = Simulation(site, goal, max_steps=MAX_STEPS, wording_seed=str(rng.random()))
    steps, outcome = roll_out(rng, sim, sheet.known, slip=0.1)
    start = rng.randint(1, 3)
    lines: list[tuple[int, str]] = []
    for number, (said, _, seen) in enumerate(steps):
        lines += [(start + 2 * number, said.partition("> ")[2]), (start + 2 * number + 1, seen)]
    asked = reflection_text(outcome, wordings(site, goal)[goal.wording], lines)
    return (Message("user", asked, kind="task"), Message("assistant", lessons(site, lines), kind="reflect"))


def lessons(site: Site, lines: list[tuple[int, str]]) -> str:
    """What can be learned from a log, in the order it was seen; `nothing.` when there is nothing."""
    told: dict[str, str] = {}
    command = ""
    verbs = ("go ", "open ", "close ", "take ", "put ", "use ", *(f"{verb} " for verb in site.machines))
    for number, text in lines:
        if text.startswith(verbs) or text in site.domain.entry_rules + site.domain.preparations:
            command = text
            continue
        for kind, sentence in _seen(site, command, text):
            told.setdefault(sentence, f"{kind}: {sentence.rstrip('.')} ({number}).")
    return " ".join(told.values()) or "nothing."


def _seen(site: Site, command: str, text: str) -> list[tuple[str, str]]:
    verb, _, rest = command.partition(" ")
    found = []
    if "you broke a house rule: " in text:
        rule = text.partition("house rule: ")[2].partition(".")[0]
        found.append(("rule", f"{rule}."))
    elif verb in ("go", "open"):
        words = set(text.replace(",", " ").replace(".", " ").split())
        place = rest.removeprefix("to ")
        found += [
            ("fact", home_sentence(site, thing))
            for thing, home in site.homes.items()
            if home == place and thing in words
        ]
    elif verb in site.machines:
        machine = rest.partition(" with ")[2]
        if "is broken" in text:
            found.append(("rule", f"{machine} is broken."))
        elif "nothing happens" not in text and "does not start" not in text:
            found.append(("rule", f"{verb} with {machine}."))
    elif " is ready" in text:
        found.append(("rule", f"{text.partition(' is ready')[0]} needs {command}."))
    return found
