"""What memory holds in one training sample: sentences of a fresh site, and the same as knowledge."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from agent.prompt import compose
from agent.types import Observation, Task
from agent.worlds.domain import SITE_WORDS
from agent.worlds.sim import rule_sentences
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
from agent.worlds.teacher import Knowledge
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


@dataclass(frozen=True, slots=True)
class Curriculum:
    """How hard samples are; `progress` in [0, 1] moves from the first to the last value of each pair."""

    progress: float = 1.0
    questions: tuple[float, float] = (0.7, 0.12)
    """Share of question samples."""
    reflections: tuple[float, float] = (0.1, 0.25)
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
    """`mug is at cabinet 3.`"""
    return f"{thing} is at {site.homes[thing]}."


def draw_sheet(
    rng: random.Random, site: Site, thing: str | None, curriculum: Curriculum, *, keep: float | None = None
) -> Sheet:
    """Memory of a site. With `thing`, a quarter know nothing, half know where it is, a quarter know else."""
    sheet = Sheet()
    mode = rng.random() if thing else 0.5
    if mode < 0.25:
        return sheet
    relevant = thing is not None and mode < 0.75
    _draw_rules(rng, site, sheet, keep=keep or (0.9 if relevant else 0.6))
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
    if thing is not None and rng.random() < curriculum.at(curriculum.foreign):
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
        sentences.append(f"{machine.place} needs {machine.preparation}.")
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
