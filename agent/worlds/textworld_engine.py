"""TextWorld's games behind the line of `agent.worlds.apart`."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from agent.worlds.apart import serve
from agent.worlds.game import Turn
from agent.worlds.textworld import SORTS, read, split_of
from memory.types import Json

_BANNER = re.compile(r"\A(?:[\s\\$_/|>]*\n)+")
"""The name of the engine in letters of dollars."""
_PROMPT = re.compile(r"\n\s*>[^\n]*\Z")
"""What an interpreter would show below: the place and the score."""


class Game:
    """The game that is on."""

    def __init__(self) -> None:
        self._env: Any = None
        self._own = tempfile.TemporaryDirectory(prefix="textworld-")

    def start(self, folder: str | None, game: str, seed: int) -> Json:
        """Start a game. Raises BadInput on one that is not known."""
        import textworld

        wanted = textworld.EnvInfos(won=True, lost=True, max_score=True, admissible_commands=True)
        self._begin(self._made(folder, game, seed), wanted)
        state = self._env.reset()
        return _turn(state, is_over=False)

    def act(self, command: str) -> Json:
        """Give one command."""
        state, _, is_over = self._env.step(command)
        return _turn(state, is_over=bool(is_over))

    def gold(self, folder: str | None, game: str, seed: int) -> Json:
        """The way that the generator knows; cooking has a walkthrough, the others a policy."""
        import textworld

        wanted = textworld.EnvInfos(policy_commands=True, extras=["walkthrough"])
        self._begin(self._made(folder, game, seed), wanted)
        state = self._env.reset()
        return list(map(str, state["extra.walkthrough"] or state["policy_commands"]))

    def _begin(self, path: Path, wanted: Any) -> None:
        import textworld

        if self._env is not None:
            self._env.close()
        self._env = textworld.start(str(path), wanted)

    def _made(self, folder: str | None, game: str, seed: int) -> Path:
        """The file of a game; generated once, whole or not at all."""
        game, seed = read({"game": game, "seed": seed})
        place = Path(folder or self._own.name) / f"{game}-{seed}.z8"
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
                made = _generated(Path(scratch) / place.name, game, seed)
                made.with_suffix(".json").replace(place.with_suffix(".json"))
                made.replace(place)
        return place


def _generated(path: Path, game: str, seed: int) -> Path:
    import textworld
    import textworld.challenges

    sort = SORTS[game]
    options = textworld.GameOptions()
    options.seeds, options.path, options.file_ext = seed, str(path), path.suffix
    options.grammar.only_last_action = True  # else the opening tells every step to take
    _, make, _ = textworld.challenges.CHALLENGES[sort.challenge]
    made = make(settings={**sort.settings, "split": split_of(seed)}, options=options)
    return Path(textworld.generator.compile_game(made, options))


def _turn(state: Any, *, is_over: bool) -> Json:
    text = _PROMPT.sub("", _BANNER.sub("", str(state["feedback"])))
    is_won, is_over = bool(state["won"]), is_over or bool(state["lost"])
    commands = () if is_won or is_over else tuple(sorted(map(str, state["admissible_commands"])))
    score = float(state["score"]) / max(1, int(state["max_score"]))
    return Turn(text.strip(), score, is_won, is_over or is_won, commands).told()


if __name__ == "__main__":
    game = Game()
    serve({"start": game.start, "act": game.act, "gold": game.gold})
