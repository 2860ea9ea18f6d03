"""General rows: read from a file, or answered by the base itself."""

import asyncio
import json
import re
from contextlib import closing
from pathlib import Path

import pytest

from agent.models.local.model import LocalModel
from agent.types import Request
from agent.worlds.site import is_held_out
from distill.build import build
from distill.bundle import Bundle
from distill.general import GENERAL, main, read_general
from distill.pretrain.replay import N_RUNS, replayed
from distill.recipes import recipe_named
from distill.select import Success
from distill.shapes.masks import Whole
from distill.signals.outcomes import Uniform
from distill.types import Recipe, Stream
from memory.errors import DistillError
from memory.types import Message
from tests.distill.episodes import NAMESPACE, make_episode
from tests.distill.tiny import make_folder

TINY = Path(__file__).parents[2] / "agent" / "models" / "tiny"


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


def test_a_stream_may_do_without(tmp_path: Path) -> None:
    """Its share is then left to the others."""
    pool = tuple(make_episode(f"e{n}", [True] * (n + 1)) for n in range(4))
    general = Stream("general", Whole(), share=0.5, of="general", if_any=True)
    recipe = Recipe("some", Success(), Uniform(), Whole(), mixture=(general,))
    bundle = Bundle(NAMESPACE, pool, {})
    assert {row.stream for row in build(recipe, bundle, 0).rows} == {"main"}
    told = [[{"role": "user", "content": f"{n}"}, {"role": "assistant", "content": "yes"}] for n in range(9)]
    rows = read_general(_write(tmp_path / "general.jsonl", *told))
    streams = [row.stream for row in build(recipe, bundle, 0, general=rows).rows]
    assert (streams.count("main"), streams.count("general")) == (4, 4)


def test_what_the_bundled_model_is_to_keep_is_its_own(tmp_path: Path) -> None:
    """Runs with and without memory in the prompt, at no site that is held out; the first is run again."""
    rows = read_general(TINY / GENERAL)
    assert len(rows) == N_RUNS
    told = "\n".join(message.text for row in rows for message in row.messages if message.role == "user")
    sites = re.findall(r"you are at (\w+ \d+)\. places", told)
    assert len(sites) == N_RUNS
    assert not any(map(is_held_out, sites))
    with closing(LocalModel.load(TINY, name="tiny")) as model:
        (again,) = asyncio.run(replayed(model, 1))
    assert [message.text for message in again] == [message.text for message in rows[0].messages]


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
