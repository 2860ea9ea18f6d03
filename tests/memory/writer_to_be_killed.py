"""Writes to a memory until it is killed; prints each item's id once `remember` has returned."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path
from threading import Thread

from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import CaseBody, Draft


def write(memory: Memory, thread: int, start: int) -> None:
    for n in count(start):
        text = f"the mug of round {start} by writer {thread} is in cabinet {n}"
        draft = Draft("case", text, CaseBody(text, (), text), outcome="success")
        (item,) = memory.remember("home", [draft], principal="ada", channel="user")
        sys.stdout.write(f"{item.id}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    shared = Memory.open(Path(sys.argv[1]), encoder=HashEncoder(64))
    for number in range(4):
        Thread(target=write, args=(shared, number, int(sys.argv[2]))).start()
