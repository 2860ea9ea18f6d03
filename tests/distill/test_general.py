"""General rows: read from a file, or answered by the base itself."""

import asyncio
import json
from pathlib import Path

import pytest

from agent.models.local.model import LocalModel
from agent.types import Request
from distill.build import build
from distill.bundle import Bundle
from distill.general import main, read_general
from distill.recipes import recipe_named
from memory.errors import DistillError
from memory.types import Message
from tests.distill.episodes import NAMESPACE, make_episode
from tests.distill.tiny import make_folder


def _write(path: Path, *conversations: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps({"messages": one}) + "\n" for one in conversations), "utf-8")
    return path


def test_a_fifth_is_memory_and_the_rest_is_general(tmp_path: Path) -> None:
    """Of no episode: nothing that is forgotten or revoked names them."""
    path = _write(
        tmp_path / "general.jsonl",
        *(
            [{"role": "user", "content": f"hello {n}"}, {"role": "assistant", "content": "hi"}]
            for n in range(20)
        ),
    )
    pool = tuple(make_episode(f"e{n}", [True] * (n + 1)) for n in range(3))
    made = build(recipe_named("agenttuning"), Bundle(NAMESPACE, pool, {}), 0, general=read_general(path))
    streams = [row.stream for row in made.rows]
    assert (streams.count("general"), streams.count("main")) == (12, 3)
    assert made.episodes == ("e0", "e1", "e2")


def test_without_general_rows_the_recipe_says_what_is_missing() -> None:
    with pytest.raises(DistillError, match="mixes in 'general', of which there are no rows"):
        build(recipe_named("agenttuning"), Bundle(NAMESPACE, (make_episode("e1"),), {}), 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no conversation"),
        ("{}\n", "line 1 is no"),
        ('{"messages": [{"role": "user", "content": "hi"}]}\n', "line 1: the assistant says nothing"),
        ('{"messages": [{"role": "king", "content": "hi"}]}\n', "line 1 is no"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "general.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(DistillError, match=said):
        read_general(path)


def test_the_base_answers_prompts_itself(tmp_path: Path) -> None:
    """With the very words that it says when it is asked."""
    base = make_folder(tmp_path / "tiny")
    prompts = [[{"role": "user", "content": f"go to cabinet {n}"}] for n in (1, 2)]
    asked = _write(tmp_path / "prompts.jsonl", *prompts)
    out = tmp_path / "general.jsonl"
    main([str(asked), "--base", str(base), "--out", str(out)])
    model = LocalModel.load(base, name="tiny")
    try:
        (reply,) = asyncio.run(model.complete(Request((Message("user", "go to cabinet 1"),))))
    finally:
        model.close()
    told = json.loads(out.read_text().splitlines()[0])["messages"]
    assert told[-1] == {"role": "assistant", "content": reply.message.text, "weight": 1.0}
