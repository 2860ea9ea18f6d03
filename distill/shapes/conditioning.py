"""What is known of how an attempt went, said before it: then all attempts can be learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from agent.prompt import conditioned
from distill.types import Episodes, Row
from memory.types import Episode


@dataclass(frozen=True, slots=True)
class ConditionOnFeedback:
    """Each attempt behind its own feedback; whoever serves asks for the best.

    Source: FAFT (TravelPlanner study, arXiv 2408.06318): plans good and bad with their evaluator's word on
    each constraint in the prompt. Here: outcome, how many steps beside the successes of its family, and what
    the episode's feedback says yes or no to. Uniform weights: what was wrong is learned as what to do when
    asked for it.
    """

    named: tuple[str, ...] = ()
    """Booleans of `Episode.feedback` that are told, where an episode has them."""

    def __call__(self, rows: Sequence[Row], lived: Episodes) -> tuple[Row, ...]:
        """The feedback before the task's text."""
        usual = _usual_steps(lived)
        return tuple(
            replace(row, messages=conditioned(row.messages, self._told(lived[row.episode], usual)))
            for row in rows
        )

    @property
    def best(self) -> str:
        """What is asked for when serving: the recipe's prompt prefix."""
        return _line("success", "few steps", [f"{name} yes" for name in self.named])

    def _told(self, episode: Episode, usual: Mapping[str, float]) -> str:
        is_short = episode.steps <= usual.get(episode.task_id, episode.steps)
        known = [(name, episode.feedback.get(name)) for name in self.named]
        said = [f"{name} {'yes' if value else 'no'}" for name, value in known if isinstance(value, bool)]
        return _line(episode.outcome, "few steps" if is_short else "many steps", said)


def _usual_steps(lived: Episodes) -> dict[str, float]:
    """The median of the steps of each task's successes."""
    steps: dict[str, list[int]] = {}
    for episode in lived.values():
        if episode.outcome == "success":
            steps.setdefault(episode.task_id, []).append(episode.steps)
    return {task: median(numbers) for task, numbers in steps.items()}


def _line(outcome: str, steps: str, said: Sequence[str]) -> str:
    return f"wanted: {', '.join([outcome, steps, *said])}."
