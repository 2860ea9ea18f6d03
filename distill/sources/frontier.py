"""One filter for all sources: is it a task, not the gate's, new, and neither mastered nor hopeless?

Sources: WebRL (Qi et al. 2024, arXiv 2411.02337), names seen and a band on the value of the first state;
Agent0 (arXiv 2511.16043), a band on the share of successes; MAE (arXiv 2510.23595), quality. Deviation: the
chance of success is no model's word: it is what the nearest finished tasks came to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from agent.generate.loop import Refused
from agent.guards.feasible import FeasibleSettings, Near, feasible
from agent.opening import situation_text
from agent.types import Task
from distill.sources.known import Candidate, Known, Proposal, Rules
from distill.sources.writing import names_in
from memory.encoder import Encoder, HashEncoder
from memory.entry import Matrix
from memory.errors import BadInput
from memory.types import Json
from memory.value.means import reward_of
from memory.value.reads import ReadSettings, near_mean

WORK = "work"
"""The split of tasks that are there to be learned from."""


@dataclass(frozen=True, slots=True)
class Frontier:
    """How tasks are compared and measured."""

    most_alike: float = 0.9
    """Cosine from which two tasks are one."""
    near: FeasibleSettings = field(default_factory=lambda: FeasibleSettings(votes=0))
    """How the nearest finished tasks are weighed; only the newest `recent` ones count."""
    encoder: Encoder = field(default_factory=HashEncoder)

    def over(self, known: Known, rules: Rules) -> Sieve:
        """The filter for one search; it remembers what passed, so take a new one each time."""
        return Sieve(self, known, rules)


class Sieve:
    """A frontier over what is known."""

    def __init__(self, settings: Frontier, known: Known, rules: Rules) -> None:
        self._settings, self._known, self._rules = settings, known, rules
        told = [one for one in known.episodes if one.origin == "real" and reward_of(one) is not None]
        self._finished = told[: settings.near.recent]
        self._rewards = [reward_of(one) or 0.0 for one in self._finished]
        self._lived = self._encode([situation_text(one.task, one.family) for one in self._finished])
        self._seen = [one.task for one in known.episodes] + list(known.waiting)
        self._texts = self._encode(self._seen)
        self._held = self._encode([one.text for one in known.held])
        self._ids = {one.task_id for one in known.episodes}

    def admit(self, proposal: Proposal) -> Candidate:
        """The task, measured. Raises Refused with the reason: parse, names, gate, duplicate or band."""
        task = self._read(proposal)
        self._check_names(task, proposal)
        vector = self._encode([task.text])
        self._check_gate(task, vector)
        self._check_new(task, vector)
        found = self._measured(task, proposal)
        low, high = self._rules.band
        if not low <= found.p <= high:
            side = "too hard" if found.p < low else "too easy"
            raise Refused(f"band: {side}, {found.p:.2f} of tasks like it succeed; wanted is {low} to {high}")
        self._ids.add(task.id)
        self._seen.append(task.text)
        self._texts = np.concatenate([self._texts, vector])
        return found

    def _encode(self, texts: Sequence[str]) -> Matrix:
        if not texts:
            return np.zeros((0, self._settings.encoder.dim), dtype=np.float32)
        return self._settings.encoder.encode(texts)

    def _read(self, proposal: Proposal) -> Task:
        said, known = proposal.said, self._known
        if isinstance(said, str) and known.listed:
            wanted = " ".join(said.casefold().split())
            task = next((one for one in known.listed.values() if one.text.casefold() == wanted), None)
            if task is None:
                raise Refused(f"parse: no task of {known.family} is called that")
            return task
        config: Mapping[str, Json] | None = {"text": said} if isinstance(said, str) else None
        if isinstance(said, dict):
            config = said
        if config is None:
            raise Refused("parse: a task was missing or could not be read")
        return self._made(config)

    def _made(self, config: Mapping[str, Json]) -> Task:
        family = self._known.family
        place = "site" if self._known.listed else "family"
        if config.get(place, family) != family:
            raise Refused(f"parse: {place} is {config[place]!r}, wanted are tasks of {family!r}")
        # Nothing but the task itself: a proposal names no servers and sets no limits.
        kept = config if self._known.listed else {"text": config.get("text")}
        try:
            return self._known.read({**kept, place: family})
        except BadInput as error:
            raise Refused(f"parse: {error}") from error

    def _check_names(self, task: Task, proposal: Proposal) -> None:
        if proposal.names is None:
            return
        strange = sorted(names_in(task, listed=bool(self._known.listed)) - proposal.names)
        if strange:
            raise Refused(f"names: {', '.join(strange)} is in none of the tasks shown")

    def _check_gate(self, task: Task, vector: Matrix) -> None:
        known = self._known
        split = known.split(task)
        if split != WORK:
            raise Refused(f"gate: it is of split {split!r}, which measures; nothing may be learned from it")
        alike = self._held @ vector[0]
        if task.id in {one.id for one in known.held} or (len(alike) and alike.max() >= self._alike):
            raise Refused("gate: it is one of the gate's tasks, or says what one says")

    def _check_new(self, task: Task, vector: Matrix) -> None:
        if task.id in self._ids:
            raise Refused("duplicate: memory has it already")
        alike = self._texts @ vector[0]
        if len(alike) and alike.max() >= self._alike:
            raise Refused(f"duplicate: it says what {self._seen[int(alike.argmax())]!r} says")

    @property
    def _alike(self) -> float:
        return self._settings.most_alike

    def _measured(self, task: Task, proposal: Proposal) -> Candidate:
        (vector,) = self._encode([situation_text(task.text, task.family)])
        cosines = [round(float(one), 5) for one in self._lived @ vector]
        near = [Near(*pair) for pair in zip(cosines, self._rewards, strict=True)]
        found = feasible((), near, self._settings.near)
        steps = [float(one.steps) for one in self._finished]
        nearest = sorted(zip(cosines, steps, strict=True), key=lambda one: -one[0])[: self._settings.near.k]
        read = ReadSettings(width=self._settings.near.width, prior_n=self._settings.near.votes_n)
        calls = near_mean([one[0] for one in nearest], [one[1] for one in nearest], 0.0, settings=read)
        return Candidate(task, proposal, found.p, found.n, calls)
