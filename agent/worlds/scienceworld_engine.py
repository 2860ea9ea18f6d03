"""ScienceWorld's simulator, which runs on the Java machine, behind the line of `agent.worlds.apart`.

Nothing but `gold` ever asks the simulator for the way: games for an agent are loaded without it.
"""

from __future__ import annotations

from agent.worlds.apart import serve
from agent.worlds.game import Turn
from memory.errors import BadInput
from memory.types import Json

NEVER = 1_000_000
"""Steps are counted outside."""


class Simulator:
    """One Java machine, and what is loaded in it."""

    def __init__(self) -> None:
        from scienceworld import ScienceWorldEnv

        self._env = ScienceWorldEnv("", envStepLimit=NEVER)

    def names(self) -> Json:
        """All task types."""
        return list(self._env.task_names)

    def variations(self, kind: str) -> Json:
        """The official splits of a task type: train, dev, test."""
        self._load(kind, 0, "", gold=False)
        env = self._env
        return [env.get_variations_train(), env.get_variations_dev(), env.get_variations_test()]

    def text(self, kind: str, variation: int) -> Json:
        """What a task is about."""
        self._load(kind, variation, "", gold=False)
        return str(self._env.get_task_description())

    def gold(self, kind: str, variation: int, simplification: str) -> Json:
        """A way to the full score."""
        self._load(kind, variation, simplification, gold=True)
        return list(self._env.get_gold_action_sequence())

    def start(self, kind: str, variation: int, simplification: str) -> Json:
        """Start a game."""
        self._load(kind, variation, simplification, gold=False)
        return self._turn(str(self._env.reset()[0])).told()

    def act(self, command: str) -> Json:
        """Give one command."""
        return self._turn(str(self._env.server.step(command))).told()

    def _load(self, kind: str, variation: int, simplification: str, *, gold: bool) -> None:
        try:
            self._env.load(kind, variation, simplification, generateGoldPath=gold)
        except ValueError as error:
            raise BadInput(str(error)) from error

    def _turn(self, text: str) -> Turn:
        # A fatal mistake is told as -100 by the simulator; no score is below nothing here.
        score = float(self._env.server.getScore())
        is_over = bool(self._env.server.getCompleted()) or score < 0
        valid = () if is_over else tuple(self._env.get_valid_action_object_combinations())
        # To start over is for whoever set the task.
        commands = tuple(command for command in valid if command != "reset task")
        return Turn(text, max(0.0, round(score, 4)), score >= 1.0, is_over, commands)


if __name__ == "__main__":
    simulator = Simulator()
    serve(
        {
            "names": simulator.names,
            "variations": simulator.variations,
            "text": simulator.text,
            "gold": simulator.gold,
            "start": simulator.start,
            "act": simulator.act,
        }
    )
