"""One process of several on one PostgreSQL memory: does what its lines of input say, in lines of JSON."""

from __future__ import annotations

import json
import sys
import time

from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import Conflict
from memory.types import Draft, NoteBody, Query


class Replica:
    def __init__(self, name: str, url: str, index: str) -> None:
        self.name = name
        self.memory = Memory.open(
            url, encoder=HashEncoder(64), index="pgvector" if index == "pgvector" else None
        )

    def write(self, text: str) -> str:
        draft = Draft("tool_note", text, NoteBody("mug", text))
        return self.memory.remember("home", [draft], principal=self.name, channel="user")[0].id

    def find(self, text: str) -> list[str]:
        recall = self.memory.recall(Query("home", text), count_tokens=len)
        return [hit.item.id for hit in recall.candidates]

    def bump(self, item_id: str) -> bool:
        """Add one to a number that all of them add to."""
        item = self.memory.get("home", item_id)
        assert isinstance(item.body, NoteBody)
        body = NoteBody("sum", str(int(item.body.note) + 1))
        try:
            self.memory.edit(
                "home", item_id, body=body, principal=self.name, channel="user", expect_version=item.version
            )
        except Conflict:
            return False
        return True

    def churn(self, item_id: str, seconds: str) -> dict[str, object]:
        """Write, find what was written, and bump; each acknowledged write is told at once."""
        until, n, bumps = time.monotonic() + float(seconds), 0, 0
        while time.monotonic() < until:
            text = f"mug {n} of {self.name} stands on shelf {n * 7 % 13}"
            written = self.write(text)
            sys.stdout.write(json.dumps({"wrote": written}) + "\n")
            sys.stdout.flush()
            if written not in self.find(text):
                return {"missed": written}
            bumps += self.bump(item_id)
            n += 1
        return {"writes": n, "bumps": bumps}


if __name__ == "__main__":
    replica = Replica(*sys.argv[1:4])
    sys.stdout.write(json.dumps("ready") + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        verb, *rest = json.loads(line)
        sys.stdout.write(json.dumps(getattr(replica, verb)(*rest)) + "\n")
        sys.stdout.flush()
