"""Training data of the bundled model: questions about memory, episodes of a teacher, and reflections on them.

Every sample is drawn from a fresh site, so the only way to answer is to read the prompt. Prompts are made by
`agent.prompt`, exactly as they are when the model serves.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from agent.prompt import compose, reflection_text
from agent.types import Observation, Task
from agent.worlds.domain import SITE_WORDS
from agent.worlds.sim import Simulation, rule_sentences
from agent.worlds.site import (
    HELD_OUT_FAMILIES,
    HELD_OUT_WORDINGS,
    SITE_NUMBERS,
    Goal,
    Machine,
    Site,
    goals,
    is_held_out,
    make_site,
    wordings,
)
from agent.worlds.teacher import Knowledge, Teacher
from memory.types import (
    CaseBody,
    Constitution,
    Hit,
    Item,
    ItemKind,
    Message,
    Outcome,
    PrincipleBody,
    Query,
    Recall,
    Score,
)

MAX_STEPS = 14
UNKNOWN = "i do not know."


@dataclass(frozen=True, slots=True)
class Curriculum:
    """How hard samples are; `progress` in [0, 1] moves from the first to the last value of each pair."""

    progress: float = 1.0
    questions: tuple[float, float] = (0.85, 0.25)
    """Share of question samples."""
    reflections: tuple[float, float] = (0.0, 0.15)
    max_cases: tuple[float, float] = (1.0, 4.99)
    foreign: tuple[float, float] = (0.0, 0.25)
    """Probability that a case of another site stands among the cases."""

    def at(self, pair: tuple[float, float]) -> float:
        """The value of a pair now."""
        return pair[0] + (pair[1] - pair[0]) * min(1.0, self.progress)


@dataclass(slots=True)
class Sheet:
    """What memory holds for one sample: sentences shown, and the same as knowledge."""

    rules: list[str] = field(default_factory=list)
    cases: list[tuple[str, str, Outcome, str]] = field(default_factory=list)
    """Site, task, outcome, lesson."""
    known: Knowledge = field(default_factory=Knowledge)


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


def draw_site(rng: random.Random, seed: str) -> Site:
    """A training site: any name but the held-out ones, with secrets of its own."""
    domain = "household" if rng.random() < 0.75 else "workshop"
    while True:
        name = f"{rng.choice(SITE_WORDS)} {rng.choice(SITE_NUMBERS)}"
        if not is_held_out(name):
            return make_site(domain, name, f"train/{seed}/{rng.random()}")


def draw_goal(rng: random.Random, site: Site) -> Goal:
    """A goal of a training family in a training wording; families are equally likely."""
    families = ["put", "look", *site.machines]
    family = rng.choice(families)
    offers = [goal for goal in goals(site) if goal.family == family and goal.family not in HELD_OUT_FAMILIES]
    if not offers:
        return draw_goal(rng, site)
    goal = rng.choice(offers)
    return replace(goal, wording=rng.randrange(len(wordings(site, goal)) - HELD_OUT_WORDINGS))


def home_sentence(site: Site, thing: str) -> str:
    """`mug is in cabinet 3.`"""
    place = site.homes[thing]
    return f"{thing} is {site.domain.preposition(place)} {place}."


def draw_sheet(rng: random.Random, site: Site, thing: str | None, curriculum: Curriculum) -> Sheet:
    """Memory of a site. With `thing`, a quarter know nothing, half know where it is, a quarter know else."""
    sheet = Sheet()
    mode = rng.random() if thing else 0.5
    if mode < 0.25:
        return sheet
    relevant = thing is not None and mode < 0.75
    _draw_rules(rng, site, sheet, keep=0.9 if relevant else 0.6)
    things = list(site.homes)
    rng.shuffle(things)
    if thing is not None:
        things.remove(thing)
    cases: list[list[str]] = [
        [things.pop() for _ in range(min(len(things), rng.randint(1, 4)))]
        for _ in range(rng.randint(1, int(curriculum.at(curriculum.max_cases))))
    ]
    cases = [case for case in cases if case]
    if relevant and thing is not None:
        chosen = rng.choice(cases) if cases else []
        chosen.insert(rng.randint(0, len(chosen)), thing)
        cases = cases or [chosen]
    for case in cases:
        sheet.known.homes |= {name: site.homes[name] for name in case}
        sheet.cases.append(_case(rng, site, case))
    if rng.random() < curriculum.at(curriculum.foreign):
        elsewhere = f"{rng.choice(SITE_WORDS)} {rng.choice(SITE_NUMBERS)}"
        other = make_site(site.domain.name, elsewhere, f"f{rng.random()}")
        if other.name != site.name:
            stray = rng.sample(list(other.homes), rng.randint(1, 4))
            sheet.cases.insert(rng.randint(0, len(sheet.cases)), _case(rng, other, stray))
    return sheet


def _case(rng: random.Random, site: Site, things: list[str]) -> tuple[str, str, Outcome, str]:
    goal = draw_goal(rng, site)
    task = wordings(site, goal)[goal.wording]
    lesson = " ".join(home_sentence(site, name) for name in things)
    outcome: Outcome = rng.choice(("success", "failure"))
    return site.name, task, outcome, lesson


def _draw_rules(rng: random.Random, site: Site, sheet: Sheet, *, keep: float) -> None:
    for sentence in rule_sentences(site):
        if rng.random() <= keep:
            sheet.rules.append(sentence)
            _learn_rule(site, sheet.known, sentence)
    for verb, pair in site.machines.items():
        for machine in pair:
            if rng.random() <= keep:
                sheet.rules += _learn_machine(rng, sheet.known, verb, machine)
    rng.shuffle(sheet.rules)


def _learn_rule(site: Site, known: Knowledge, sentence: str) -> None:
    if sentence.startswith("do not open"):
        known.forbidden.add(str(site.rules.forbidden))
    elif sentence.startswith("close things"):
        known.close = True
    else:
        known.entry = sentence


def _learn_machine(rng: random.Random, known: Knowledge, verb: str, machine: Machine) -> list[str]:
    sentences = []
    if not machine.works:
        if rng.random() < 0.4:
            known.broken.add(machine.place)
            sentences.append(f"{machine.place} is broken.")
        return sentences
    if machine.preparation:
        known.preparations[machine.place] = machine.preparation
        sentences.append(f"{machine.preparation} before you use {machine.place}.")
    if rng.random() < 0.9:
        known.works[verb] = machine.place
        sentences.append(f"{verb} with {machine.place}.")
    return sentences


def opening(sheet: Sheet, task: Task, observation: Observation) -> list[Message]:
    """The prompt as `agent.prompt.compose` makes it from real items."""
    hits = tuple(
        Hit(_item("case", lesson, CaseBody(text, (), lesson), site, outcome), Score(), "kept", 0)
        for site, text, outcome, lesson in sheet.cases
    )
    body = PrincipleBody("family", "neural")
    principles = tuple(_item("principle", rule, body, None, None) for rule in sheet.rules)
    recall = Recall(Query("", ""), hits, 0, "")
    return list(compose(task, observation, recall, Constitution("", None, "", principles), "plain"))


def _item(
    kind: ItemKind, text: str, body: CaseBody | PrincipleBody, family: str | None, outcome: Outcome | None
) -> Item:
    return Item(
        id="", namespace="", kind=kind, scope="family", family=family, text=text, body=body, outcome=outcome,
        status="active", version=1, channel="reflection", trust=1, author="", created_at=0, updated_at=0,
        valid_from=0,
    )  # fmt: skip


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
    return f"what does {machine} need?", f"{need} before you use {machine}." if need else UNKNOWN


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
    slip = 0.06 if rng.random() < 0.5 else 0.0
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
            command, weight = f"go to {rng.choice(sim.site.listing)}", 0.0
        observation = sim.step(command)
        teacher.saw(command, observation.text)
        steps.append((f"{thought} > {command}", weight, observation.text))
        if observation.done:
            return steps, observation.outcome or "failure"


def reflection(rng: random.Random, site: Site, curriculum: Curriculum) -> tuple[Message, ...]:
    """The log of an episode and what a careful reader would write down, each line with its evidence."""
    goal = draw_goal(rng, site)
    sheet = draw_sheet(rng, site, goal.things[0], curriculum)
    sim = Simulation(site, goal, max_steps=MAX_STEPS, wording_seed=str(rng.random()))
    steps, outcome = roll_out(rng, sim, sheet.known, slip=0.06)
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
        found.append(("rule", f"{command} before you use {text.partition(' is ready')[0]}."))
    return found
