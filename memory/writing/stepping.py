"""The steps of an episode, kept with what they turned out to be worth."""

from __future__ import annotations

from memory.encoder import HashEncoder
from memory.modes import USES
from memory.store.lived import Lived
from memory.store.writer import Writer
from memory.types import Episode
from memory.value.means import reward_of
from memory.value.states import Acted, acted
from memory.value.steps import Act, Verdict, credited

DIM = 256
"""Length of a state's vector: words by their hashes, for a model would take longer than the step."""


def state_encoder() -> HashEncoder:
    """What states are compared by; its vectors are in the database, so it never changes."""
    return HashEncoder(DIM)


def keep_steps(writer: Writer, episode: Episode) -> None:
    """Let the steps say what the episode's outcome says now; nothing where it must teach nothing.

    Idempotent. An episode that is not recorded has none.
    """
    seq = writer.position(episode.namespace, episode.id)
    if seq is None:
        return
    reward = reward_of(episode) if USES[episode.mode].credits else None
    told = () if reward is None else acts_of(episode, reward)
    states = state_encoder().encode([one.state for one, _ in told])
    acts = [act for _, act in told]
    Lived(writer.connection).keep_steps(episode.namespace, episode.id, episode.family, acts, states, seq)


def acts_of(episode: Episode, reward: float) -> list[tuple[Acted, Act]]:
    """What each step is to be remembered for. Of several calls in one message the last one counts."""
    steps = list({one.message: one for one in acted(episode.task, episode.messages)}.values())
    worth = credited(len(steps), reward, _verdicts(episode, steps))
    return [
        (step, Act(step.action, value, episode.id, step.message))
        for step, value in zip(steps, worth, strict=True)
        if value is not None
    ]


def _verdicts(episode: Episode, steps: list[Acted]) -> dict[int, Verdict]:
    """By place among the steps: the episode's own, or what its messages say."""
    if episode.verdicts:
        told = {one.message: one.verdict for one in episode.verdicts}
        return {place: told[step.message] for place, step in enumerate(steps) if step.message in told}
    return {place: "error" for place, step in enumerate(steps) if step.ok is False}
