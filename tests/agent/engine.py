"""A small engine to run apart, as `python -m tests.agent.engine`: a game of one word, and ways to break."""

import os
import subprocess
import sys
import time

from agent.worlds.apart import serve
from agent.worlds.game import Turn
from memory.errors import BadInput
from memory.types import Json


class Guess:
    """Won by saying the word; it is over after `give up`."""

    def __init__(self) -> None:
        self.word = ""

    def start(self, place: str, word: object) -> Json:
        if not isinstance(word, str):
            raise BadInput(f"{word!r} is no word")
        self.word = word
        return Turn(f"you are in {place}", 0.0, commands=("say a", f"say {word}")).told()

    def act(self, command: str) -> Json:
        if command == "give up":
            return Turn("a pity", 0.25, is_over=True).told()
        is_won = command == f"say {self.word}"
        text = "well said" if is_won else "that does nothing"
        return Turn(text, float(is_won), is_won, is_won, commands=("say a", f"say {self.word}")).told()


def spawn() -> Json:
    """A child that outlives its parent unless somebody ends it or cuts its line."""
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    CHILDREN.append(child)
    return child.pid


def die() -> Json:
    sys.stderr.write("out of paper\n")
    sys.stderr.flush()
    os._exit(3)


def noise() -> Json:
    print("noise on standard output")  # noqa: T201 - what engines do
    return os.getpid()


def fail() -> Json:
    raise ValueError("no such thing")


CHILDREN: list[subprocess.Popen[bytes]] = []
if __name__ == "__main__":
    guess = Guess()
    serve(
        {
            "start": guess.start,
            "act": guess.act,
            "spawn": spawn,
            "die": die,
            "noise": noise,
            "fail": fail,
            "hang": lambda: time.sleep(600),
        }
    )
