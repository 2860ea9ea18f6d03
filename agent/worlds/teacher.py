"""What a sensible agent does, given what it knows: the oracle with full knowledge, the teacher with less.

One rule of thumb per phase of a task, each a thought and a command. With full knowledge it takes a shortest
way; with none it searches places in the order they were listed and tries machines until one works.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.worlds.sim import Simulation, rule_sentences
from agent.worlds.site import Site


@dataclass(slots=True)
class Knowledge:
    """What is believed of a site, from memory or from what this episode has shown."""

    homes: dict[str, str] = field(default_factory=dict)
    works: dict[str, str] = field(default_factory=dict)
    """Process verb to working machine."""
    broken: set[str] = field(default_factory=set)
    preparations: dict[str, str] = field(default_factory=dict)
    """Machine to the command it needs first."""
    entry: str | None = None
    """The whole rule sentence."""
    forbidden: set[str] = field(default_factory=set)
    close: bool = False


def full_knowledge(site: Site) -> Knowledge:
    """Everything a site hides."""
    known = Knowledge(homes=dict(site.homes), close=site.rules.close)
    for verb, pair in site.machines.items():
        known.works[verb] = next(m.place for m in pair if m.works)
        known.broken |= {m.place for m in pair if not m.works}
        known.preparations |= {m.place: m.preparation for m in pair if m.preparation and m.works}
    if site.rules.entry:
        known.entry = rule_sentences(site)[0]
    if site.rules.forbidden:
        known.forbidden.add(site.rules.forbidden)
    return known


@dataclass(slots=True)
class Teacher:
    """A policy over one simulation; it looks at the world only through what was shown."""

    sim: Simulation
    known: Knowledge
    searched: list[str] = field(default_factory=list)
    """Places whose inside was seen, or that must not be opened."""
    tried: list[str] = field(default_factory=list)
    """Preparations tried at the machine that does not start."""
    stuck: str | None = None
    """Machine that did not start."""
    seen: dict[str, str] = field(default_factory=dict)
    """Where things stood when they were last seen."""

    def decide(self) -> tuple[str, str]:
        """A thought (one sentence of the world's English) and the command that follows from it."""
        if self.known.entry and not self.sim.state.entered:
            return self.known.entry, self.known.entry.partition(" before ")[0]
        thought, command = self._next()
        at = self.sim.state.at
        if self.known.close and command.startswith("go ") and at in self.sim.state.opened:
            return "close things before you go.", f"close {at}"
        return thought, command

    def saw(self, command: str, text: str) -> None:
        """Learn from what the world answered."""
        site, at = self.sim.site, self.sim.state.at
        verb, _, rest = command.partition(" ")
        if at and at in site.storage and not self._shut(at):
            self.seen |= {thing: at for thing, home in self.sim.state.homes.items() if home == at}
            if at not in self.searched:
                self.searched.append(at)
        if verb in site.machines:
            self._saw_machine(verb, rest.partition(" with ")[2], text)
        elif text.startswith(f"{self.stuck} is ready"):
            self.known.preparations[str(self.stuck)] = command
            self.stuck = None
        elif self.stuck and command in site.domain.preparations:
            self.tried.append(command)

    def _saw_machine(self, verb: str, machine: str, text: str) -> None:
        if "is broken" in text:
            self.known.broken.add(machine)
        elif "does not start" in text:
            self.stuck, self.tried = machine, []
        elif "nothing happens" not in text:
            self.known.works[verb] = machine

    def _shut(self, place: str) -> bool:
        return self.sim.site.domain.is_closed(place) and place not in self.sim.state.opened

    def _next(self) -> tuple[str, str]:
        state, goal = self.sim.state, self.sim.goal
        if state.held is None or state.held not in goal.things:
            # What was brought before it was ready has to be fetched again.
            away = (thing for thing in goal.things if state.homes.get(thing) != goal.target)
            thing = next(away, goal.things[0])
            return self._fetch(thing)
        process = next((p for p in self.sim.site.domain.processes if p.verb == goal.family), None)
        if process and process.adjective not in state.states.get(state.held, []):
            return self._process(process.verb)
        return self._deliver(state.held, goal.target)

    def _fetch(self, thing: str) -> tuple[str, str]:
        state, at = self.sim.state, self.sim.state.at
        if at and state.homes.get(thing) == at and not self._shut(at):
            return f"{thing} is here.", f"take {thing} from {at}"
        home = self.seen.get(thing) or self.known.homes.get(thing)
        if home and (thing in self.seen or home not in self.searched):
            thought = f"{thing} is at {home}."
            return thought, f"open {home}" if at == home else f"go to {home}"
        thought = f"where is {thing}?"
        if at and at in self.sim.site.storage and self._shut(at) and at not in self.searched:
            if at not in self.known.forbidden:
                return thought, f"open {at}"
            self.searched.append(at)
            thought = f"do not open {at}."
        place = self._unsearched()
        return f"{thought} {self._before(place)} {place}.", f"go to {place}"

    def _unsearched(self) -> str:
        """The next place in the listing after the one last searched, round and round."""
        places = self.sim.site.storage
        start = places.index(self.searched[-1]) + 1 if self.searched else 0
        ring = places[start:] + places[:start]
        return next((p for p in ring if p not in self.searched and p != self.sim.state.at), ring[0])

    def _before(self, place: str) -> str:
        """What stands before a place in the listing: naming both is how a searcher keeps to the list."""
        places = self.sim.site.storage
        return places[places.index(place) - 1] if place != places[0] else "places:"

    def _process(self, verb: str) -> tuple[str, str]:
        machines = self.sim.site.machines_for(verb)
        machine = self.known.works.get(verb)
        thought = f"{verb} with {machine}."
        if not machine:
            dead = next((m for m in machines if m in self.known.broken), None)
            machine = next((m for m in machines if m not in self.known.broken), machines[0])
            before = machines[0] if machine == machines[1] else f"to {verb}"
            thought = (
                f"{dead} is broken. {before} {machine}." if dead else f"{verb} with what? {before} {machine}."
            )
        if self.sim.state.at != machine:
            return thought, f"go to {machine}"
        preparation = self.known.preparations.get(machine)
        if preparation and machine not in self.sim.state.prepared:
            return f"{machine} needs {preparation}.", preparation
        if self.stuck == machine:
            options = self.sim.site.domain.preparations
            return f"{machine} does not start.", next((o for o in options if o not in self.tried), options[0])
        return thought, f"{verb} {self.sim.state.held} with {machine}"

    def _deliver(self, thing: str, target: str) -> tuple[str, str]:
        thought = f"i have {thing}."
        if self.sim.state.at != target:
            return thought, f"go to {target}"
        if target == self.sim.site.viewer:
            return thought, f"use {target}"
        if self._shut(target):
            return thought, f"open {target}"
        return thought, f"put {thing} {self.sim.site.domain.preposition(target)} {target}"
