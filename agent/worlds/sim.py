"""The mechanics of a site: state, commands, and what the world says. Pure but for its own state."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field

from agent.types import Observation
from agent.worlds.site import Goal, Site, adjective
from memory.errors import WorldError

NOTHING = "nothing happens."
BROKEN_RULE = "you broke a house rule: "
"""Begins the observation that states the rule and ends the task."""


@dataclass(slots=True)
class State:
    """Everything that changes while a task runs; JSON by `dataclasses.asdict`."""

    homes: dict[str, str]
    """Where each thing is now; what is carried is absent."""
    at: str | None = None
    held: str | None = None
    opened: list[str] = field(default_factory=list)
    states: dict[str, list[str]] = field(default_factory=dict)
    """Adjectives a thing has earned, e.g. `clean`."""
    prepared: list[str] = field(default_factory=list)
    """Machines that were made ready."""
    entered: bool = False
    viewed: str | None = None
    steps: int = 0
    over: bool = False


def rule_sentences(site: Site) -> tuple[str, ...]:
    """The house rules of a site in its own English."""
    rules, domain = site.rules, site.domain
    sentences = []
    if rules.entry:
        sentences.append(f"{rules.entry} before you {domain.entry_verb} things.")
    if rules.forbidden:
        sentences.append(f"do not open {rules.forbidden}.")
    if rules.close:
        sentences.append("close things before you go.")
    return tuple(sentences)


class Simulation:
    """One task at one site."""

    def __init__(self, site: Site, goal: Goal, *, max_steps: int, wording_seed: str, wordings: int = 2):
        """`wording_seed` picks among the first `wordings` ways (3 in all) the world has of saying things."""
        self.site, self.goal, self.max_steps = site, goal, max_steps
        self._voice, self._wordings = wording_seed, wordings
        self.state = State(homes=dict(site.homes))

    def opening(self) -> str:
        """What is seen on arrival."""
        site, places = self.site, " ".join(self.site.storage)
        uses = [f"to {verb} {' '.join(site.machines_for(verb))}." for verb in site.machines]
        return f"you are at {site.name}. places: {places}. {' '.join(uses)} to look {site.viewer}."

    def step(self, command: str) -> Observation:
        """Do one command. What cannot be understood or done answers `nothing happens.` with ok False.

        Raises WorldError when the task is over.
        """
        if self.state.over:
            raise WorldError("the task is over; call reset first")
        self.state.steps += 1
        observation = self._obey(" ".join(command.lower().split()).rstrip("."))
        if not observation.done and self._reached():
            observation = Observation(f"{observation.text} the task is done.", True, True, "success", 1.0)
        elif not observation.done and self.state.steps >= self.max_steps:
            lost = f"{observation.text} no time is left. the task is lost."
            observation = Observation(lost, observation.ok, True, "failure", 0.0)
        self.state.over = observation.done
        return observation

    def dump(self) -> dict[str, object]:
        """The state as JSON data."""
        return asdict(self.state)

    def _obey(self, command: str) -> Observation:
        verb, _, rest = command.partition(" ")
        match verb:
            case "go":
                return self._go(rest.removeprefix("to "))
            case "open":
                return self._open(rest)
            case "close":
                return self._close(rest)
            case "take":
                return self._take(*_split(rest, " from "))
            case "put":
                return self._put(*_split(rest.replace(" on ", " in "), " in "))
            case "use":
                return self._view(rest)
            case "look":
                return Observation(self._scene(), ok=True)
            case _ if verb in self.site.machines:
                return self._process(verb, *_split(rest, " with "))
        return self._other(command)

    def _say(self, *ways: str) -> str:
        rng = random.Random(f"{self._voice}/{self.state.steps}/{ways[0]}")
        return rng.choice(ways[: self._wordings])

    def _broke(self, rule: str) -> Observation:
        return Observation(f"{BROKEN_RULE}{rule} the task is lost.", False, True, "failure", 0.0, rule)

    def _nothing(self) -> Observation:
        return Observation(NOTHING, ok=False)

    def _shut(self, place: str) -> bool:
        return self.site.domain.is_closed(place) and place not in self.state.opened

    def _scene(self) -> str:
        place = self.state.at
        if place is None:
            return self.opening()
        if self._shut(place):
            return self._say(f"{place} is closed.", f"you are at {place}. it is closed.", f"{place} is shut.")
        if place not in self.site.storage:
            return self._say(f"you are at {place}.", f"here is {place}.", f"{place} stands here.")
        things = [thing for thing, home in self.state.homes.items() if home == place]
        seen = ", ".join(things) if things else "nothing"
        where = f"{self.site.domain.preposition(place)} {place}"
        return self._say(
            f"{where} you see {seen}.", f"{where} there is {seen}.", f"{seen} can be seen {where}."
        )

    def _go(self, place: str) -> Observation:
        state = self.state
        if place not in self.site.listing or place == state.at:
            return self._nothing()
        left_open = state.at in state.opened
        if self.site.rules.close and left_open:
            return self._broke("close things before you go.")
        state.at = place
        return Observation(f"{self.site.room_of(place)}: {self._scene()}", ok=True)

    def _open(self, place: str) -> Observation:
        if place != self.state.at or not self._shut(place):
            return self._nothing()
        if place == self.site.rules.forbidden:
            return self._broke(f"do not open {place}.")
        self.state.opened.append(place)
        return Observation(f"you open {place}. {self._scene()}", ok=True)

    def _close(self, place: str) -> Observation:
        if place != self.state.at or place not in self.state.opened:
            return self._nothing()
        self.state.opened.remove(place)
        return Observation(
            self._say(f"you close {place}.", f"{place} is closed now.", f"{place} shuts."), ok=True
        )

    def _breaks_entry(self, verb: str) -> bool:
        return bool(self.site.rules.entry) and verb == self.site.domain.entry_verb and not self.state.entered

    def _take(self, thing: str, place: str) -> Observation:
        state = self.state
        if state.held or place != state.at or state.homes.get(thing) != place or self._shut(place):
            return self._nothing()
        if self._breaks_entry("take"):
            return self._broke(rule_sentences(self.site)[0])
        state.held = thing
        del state.homes[thing]
        said = self._say(
            f"you take the {thing} from {place}.", f"you have the {thing} now.", f"the {thing} is yours."
        )
        return Observation(said, ok=True)

    def _put(self, thing: str, place: str) -> Observation:
        state = self.state
        if state.held != thing or place != state.at or place not in self.site.storage or self._shut(place):
            return self._nothing()
        if self._breaks_entry("put"):
            return self._broke(rule_sentences(self.site)[0])
        state.held = None
        state.homes[thing] = place
        where = f"{self.site.domain.preposition(place)} {place}"
        said = self._say(
            f"you put the {thing} {where}.", f"the {thing} is {where} now.", f"the {thing} stays {where}."
        )
        return Observation(said, ok=True)

    def _view(self, place: str) -> Observation:
        if place != self.state.at or place != self.site.viewer or self.state.held is None:
            return self._nothing()
        self.state.viewed = self.state.held
        return Observation(f"you look at the {self.state.held} under {place}.", ok=True)

    def _process(self, verb: str, thing: str, place: str) -> Observation:
        state = self.state
        machine = next((m for m in self.site.machines[verb] if m.place == place), None)
        process = next(p for p in self.site.domain.processes if p.verb == verb)
        if machine is None or place != state.at or state.held != thing or thing not in process.things:
            return self._nothing()
        if not machine.works:
            return Observation(f"{place} is broken.", ok=False)
        if machine.preparation and place not in state.prepared:
            return Observation(f"{place} does not start.", ok=False)
        state.states.setdefault(thing, []).append(process.adjective)
        said = self._say(
            f"you {verb} the {thing} with {place}.",
            f"the {thing} is {process.adjective} now.",
            f"{place} makes the {thing} {process.adjective}.",
        )
        return Observation(said, ok=True)

    def _other(self, command: str) -> Observation:
        domain, state = self.site.domain, self.state
        if command in domain.entry_rules:
            state.entered = state.entered or command == self.site.rules.entry
            return Observation(self._say("done.", "you did it.", "that is done."), ok=True)
        machine = next((m for pair in self.site.machines.values() for m in pair if m.place == state.at), None)
        if machine is None or machine.preparation != command or not machine.works:
            return self._nothing()
        if machine.place not in state.prepared:
            state.prepared.append(machine.place)
        return Observation(f"{machine.place} is ready.", ok=True)

    def _reached(self) -> bool:
        state, goal = self.state, self.goal
        if goal.family == "look":
            return state.viewed == goal.things[0]
        if any(state.homes.get(thing) != goal.target for thing in goal.things):
            return False
        wanted = adjective(self.site.domain, goal.family)
        return wanted is None or wanted in state.states.get(goal.things[0], [])


def _split(text: str, separator: str) -> tuple[str, str]:
    left, _, right = text.partition(separator)
    return left.strip().removeprefix("the "), right.strip()
