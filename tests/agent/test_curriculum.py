"""EnvGen here: knobs are checked, what goes worst is told, and weak skills improve at equal steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from statistics import fmean

import pytest

from agent.generate.loop import kept_of
from agent.generate.sites import Sites
from agent.generate.worlds import Config, Configurable, Skills, WorldConfigs
from agent.models.schema import check_schema, first_violation
from agent.models.scripted import ScriptedModel
from memory.errors import BadInput
from memory.types import Json
from notebooks.bench_safety.crafting import Crafting, grown

WEAK = Skills({"wood": (1.0, 0.8), "iron": (0.0, 0.2)})


def configs(*some: Json) -> str:
    return json.dumps({"configs": list(some)})


async def lived(script: list[str], rounds: int = 1) -> tuple[list[Config], ScriptedModel]:
    """What the learner lived in, and who was asked."""
    model, seen = ScriptedModel(script), []

    async def practise(config: Config) -> None:
        seen.append(config)

    async def measure() -> Skills:
        return WEAK

    setting = WorldConfigs(Crafting(), model.complete, practise, measure, n=2)
    assert list(kept_of(await setting.generator(WEAK).run(rounds))) == seen
    return seen, model


async def test_values_out_of_range_are_sent_back_with_the_reason() -> None:
    """Only as many are asked for again, and what was fine is lived in."""
    good: Json = {"start": ["wood"], "rarity": "common"}
    bad: Json = {"start": ["gold"], "rarity": "common"}
    seen, model = await lived([configs(good, bad), "no idea", configs({"start": [], "rarity": "rare"})])
    assert seen == [good, {"start": [], "rarity": "rare"}]
    asked = [one.messages[0].text for one in model.history]
    assert "Write 2 configurations" in asked[0]
    assert "'gold' is not one of" in asked[1]
    assert "Write 1 configurations" in asked[1]
    assert "there is no JSON" in asked[2]


async def test_success_is_told_with_its_deviation() -> None:
    """By skill; later rounds see the last configurations too."""
    good: Json = {"start": ["wood"], "rarity": "common"}
    _, model = await lived([configs(good), configs(good)], rounds=2)
    asked = [one.messages[0].text for one in model.history]
    assert "wood: 90% ± 10%\niron: 10% ± 10%" in asked[0]
    assert json.dumps(good) in asked[1]


def test_the_score_weighs_what_fails() -> None:
    """Equal means, and the one with a skill at zero is worse."""
    assert WEAK.weakest == "iron"
    even, odd = Skills({"a": (0.5,), "b": (0.5,)}), Skills({"a": (1.0,), "b": (0.0,)})
    assert even.score == pytest.approx(0.5)
    assert odd.score == pytest.approx(2**0.5 - 1)


async def test_the_weak_skill_improves_at_equal_steps() -> None:
    """Knobs turned by what goes worst, against random ones and none, over seeds."""
    rates: dict[str, float] = {}
    for arm in ("told", "random", "none"):
        runs = [(await grown(arm, seed, rounds=2))[-1] for seed in range(5)]
        rates[arm] = fmean(one.mean("iron") for one in runs)
    assert rates["told"] > rates["random"] + 0.15
    assert rates["told"] > rates["none"] + 0.15


@pytest.mark.parametrize("world", ["household", "workshop"])
def test_the_bundled_sites_have_knobs(world: str) -> None:
    """Each configuration of the schema is tasks of that skill at that site; others are refused."""
    sites: Configurable = Sites(world)
    check_schema(sites.config_schema())
    offered = set()
    for skill in sites.skills():
        config: Mapping[str, Json] = {"site": "maple 27", "skill": skill, "n": 3}
        assert first_violation(dict(config), sites.config_schema()) is None
        try:
            tasks = Sites(world).tasks(config)
        except BadInput:
            continue  # not every site has every machine
        offered.add(skill)
        assert [(one.config["family"], one.family) for one in tasks] == [(skill, "maple 27")] * 3
        assert len({one.id for one in tasks}) == 3
    assert {"put", "look"} < offered
    for faulty in ({"site": "maple 61"}, {"skill": "fly"}, {"n": 9}, {"more": 1}):
        told = {"site": "maple 27", "skill": "put", "n": 3, **faulty}
        assert first_violation(told, sites.config_schema())
