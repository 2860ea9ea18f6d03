"""ALFWorld's text games behind the line of `agent.worlds.apart`."""

from __future__ import annotations

from typing import Any

from agent.worlds.apart import serve
from agent.worlds.game import Turn
from memory.types import Json


class Game:
    """The game that is on."""

    def __init__(self) -> None:
        self._env: Any = None

    def start(self, folder: str, game: str) -> Json:
        """Start a game of a data folder."""
        import textworld
        from alfworld.agents.environment.alfred_tw_env import AlfredDemangler, AlfredInfos

        if self._env is not None:
            self._env.close()
        wanted = textworld.EnvInfos(won=True, admissible_commands=True)
        wrappers = [AlfredDemangler(shuffle=False), AlfredInfos()]
        self._env = textworld.start(f"{folder}/{game}/game.tw-pddl", wanted, wrappers=wrappers)
        state = self._env.reset()
        # The first paragraph is the engine's own greeting.
        return _turn(state, str(state["feedback"]).partition("\n\n")[2], is_over=False)

    def act(self, command: str) -> Json:
        """Give one command."""
        state, _, is_over = self._env.step(command)
        return _turn(state, str(state["feedback"]), is_over=bool(is_over))


def _turn(state: Any, text: str, *, is_over: bool) -> Json:
    is_won = bool(state["won"])
    commands = () if is_won or is_over else tuple(sorted(map(str, state["admissible_commands"])))
    return Turn(text.strip(), float(is_won), is_won, is_over or is_won, commands).told()


if __name__ == "__main__":
    game = Game()
    serve({"start": game.start, "act": game.act})
