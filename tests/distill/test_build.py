"""Episodes to rows: what trains, what is context, what is refused."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st

from distill.build import build, tools_of
from distill.bundle import Admission, Bundle, read_bundle
from distill.dataset import from_line, read_rows, to_line, write
from distill.recipes import RECIPES, recipe_named, stages
from distill.seeing.terminal import coloured
from distill.types import Dataset
from memory.errors import DistillError
from memory.types import Episode, ToolSpec
from tests.distill.episodes import (
    NAMESPACE,
    episode_lists,
    make_episode,
    make_item,
    write_bundle,
)

RECIPE_NAMES = [recipe.name for recipe in RECIPES]


def _bundle(episodes: list[Episode]) -> Bundle:
    return Bundle(NAMESPACE, tuple(sorted(episodes, key=lambda e: e.id)), {})


def _build(episodes: list[Episode], recipe: str, seed: int = 0) -> Dataset | None:
    try:
        return build(recipe_named(recipe), _bundle(episodes), seed)
    except DistillError:
        return None


class TestDeterminism:
    """`build` is a pure function."""

    @given(episode_lists(), st.sampled_from(RECIPE_NAMES), st.integers(0, 3), st.randoms())
    def test_the_order_of_episodes_changes_no_byte(
        self, episodes: list[Episode], recipe: str, seed: int, rng: random.Random
    ) -> None:
        """Same set, same seed: same lines, same hash."""
        shuffled = episodes.copy()
        rng.shuffle(shuffled)
        first, second = _build(episodes, recipe, seed), _build(shuffled, recipe, seed)
        assert first == second
        if first is not None and second is not None:
            assert list(map(to_line, first.rows)) == list(map(to_line, second.rows))

    def test_written_files_are_the_same_bytes(self, tmp_path: Path) -> None:
        """Data and manifest, twice from a bundle on disk in two orders."""
        episodes = [make_episode(f"e{n}", [True, False, True], memory="mug on shelf 3") for n in range(6)]
        recipe, written = recipe_named("internalise"), []
        for name, order in (("a", episodes), ("b", episodes[::-1])):
            bundle = read_bundle(write_bundle(tmp_path / f"bundle-{name}", order), NAMESPACE)
            write(build(recipe, bundle, 7), recipe, tmp_path / name)
            written.append([(tmp_path / name / f).read_bytes() for f in ("messages.jsonl", "manifest.json")])
        assert written[0] == written[1]

    def test_the_file_loads_as_a_table(self, tmp_path: Path) -> None:
        """One schema for rows with and without tools, memory and refused acts."""
        episodes = [
            make_episode("e1", [True, False, None], memory="mug", rules="wash"),
            replace(make_episode("e2", [True]), world="elsewhere"),
        ]
        recipe = recipe_named("step")
        write(build(recipe, _bundle(episodes), 0), recipe, tmp_path / "data")
        table = load_dataset(
            "json",
            data_files=str(tmp_path / "data" / "messages.jsonl"),
            split="train",
            cache_dir=str(tmp_path / "cache"),
        )
        assert table[0]["messages"][3]["weight"] == 1.0
        assert [json.loads(row["tools"]) != [] for row in table] == [True, False]

    def test_seed_and_recipe_are_part_of_the_hash(self) -> None:
        """Two datasets that were made differently are never taken for one."""
        episodes = [make_episode(f"e{n}", memory="mug") for n in range(3)]
        hashes = {
            build(recipe_named(r), _bundle(episodes), s).hash for r in ("step", "agentevol") for s in (0, 1)
        }
        assert len(hashes) == 4

    @given(episode_lists(), st.sampled_from(RECIPE_NAMES))
    def test_rows_survive_their_lines(self, episodes: list[Episode], recipe: str) -> None:
        """Reading a line gives the row it was written from."""
        dataset = _build(episodes, recipe)
        for row in dataset.rows if dataset else ():
            assert from_line(to_line(row)) == row


class TestRefusals:
    """What must not teach."""

    def test_infra_and_unknown_never_train(self) -> None:
        """Whatever their reward says."""
        episodes = [
            make_episode("good"),
            make_episode("broke", outcome="infra", reward=1.0),
            make_episode("maybe", outcome="unknown", reward=1.0),
        ]
        dataset = build(recipe_named("step"), _bundle(episodes), 0)
        assert dataset.episodes == ("good",)
        assert {r.episode: r.reason for r in dataset.rejected} == {
            "broke": "the outcome is infra",
            "maybe": "the outcome is unknown",
        }

    def test_untrusted_and_imagined_episodes_are_refused_with_the_reason(self, tmp_path: Path) -> None:
        """Trust is the lowest of what the prompt showed; a revoked item bars its episodes."""
        episodes = [
            make_episode("fine", shown=["own"]),
            make_episode("web", shown=["own", "web"]),
            make_episode("gone", shown=["revoked"]),
            replace(make_episode("dream"), origin="imagined"),
            replace(make_episode("log"), channel="external"),
            replace(make_episode("vouched"), channel="operator"),
            replace(make_episode("past"), forgotten="its source was revoked"),
        ]
        folder = write_bundle(tmp_path / "bundle", episodes, [make_item("own", 1), make_item("web", 0)])
        dataset = build(recipe_named("step"), read_bundle(folder, NAMESPACE), 0)
        assert dataset.episodes == ("fine", "vouched")
        reasons = {r.episode: r.reason for r in dataset.rejected}
        assert "web of trust 0" in reasons["web"]
        assert "no longer holds" in reasons["gone"]
        assert "imagined" in reasons["dream"]
        assert "imported through 'external'" in reasons["log"]
        assert "its source was revoked" in reasons["past"]

    def test_a_lower_bar_lets_them_in(self, tmp_path: Path) -> None:
        """When the owner says so."""
        folder = write_bundle(
            tmp_path / "bundle", [make_episode("web", shown=["web"])], [make_item("web", 0)]
        )
        admission = Admission(min_trust=0)
        dataset = build(recipe_named("step"), read_bundle(folder, NAMESPACE), 0, admission)
        assert dataset.episodes == ("web",)

    def test_an_episode_of_refused_acts_alone_is_rejected(self) -> None:
        """There is nothing in it to train on."""
        episodes = [make_episode("good"), make_episode("lucky", [False, False])]
        dataset = build(recipe_named("step"), _bundle(episodes), 0)
        assert [(r.episode, "every act" in r.reason) for r in dataset.rejected] == [("lucky", True)]

    def test_nothing_to_learn_from_is_an_error_with_reasons(self) -> None:
        """An empty dataset is never trained on."""
        with pytest.raises(DistillError, match="does not select"):
            build(recipe_named("step"), _bundle([make_episode("bad", outcome="failure", reward=0.0)]), 0)

    def test_a_repeated_episode_does_not_count_twice(self) -> None:
        """Rows that read the same are one row."""
        episodes = [make_episode("e1"), make_episode("e2")]
        assert len(build(recipe_named("step"), _bundle(episodes), 0).rows) == 1

    def test_a_recipe_goes_on_from_those_before_it(self) -> None:
        """The first stage first; one that went on from itself would never begin."""
        chains = {name: [one.name for one in stages(recipe_named(name))] for name in ("malt", "step")}
        assert chains == {"malt": ["malt.1", "malt"], "step": ["step"]}

    def test_an_unknown_recipe_names_those_there_are(self) -> None:
        """The message is the remedy."""
        with pytest.raises(DistillError, match="internalise"):
            recipe_named("alchemy")

    def test_a_bundle_of_another_namespace_is_refused(self, tmp_path: Path) -> None:
        """Nobody learns from what is not theirs."""
        folder = write_bundle(tmp_path / "bundle", [make_episode("e1")])
        with pytest.raises(DistillError, match="namespace 'home'"):
            read_bundle(folder, "office")

    def test_a_broken_bundle_is_an_error(self, tmp_path: Path) -> None:
        """A file that was changed after the export is named."""
        folder = write_bundle(tmp_path / "bundle", [make_episode("e1")])
        (folder / "episodes.jsonl").write_text('{"id": "e1"', encoding="utf-8")
        with pytest.raises(DistillError, match=r"episodes\.jsonl"):
            read_bundle(folder, NAMESPACE)


class TestRecipes:
    """Mixtures, and rows as people read them."""

    def test_internalise_keeps_a_third_of_its_rows_with_memory_and_a_third_with_others(self) -> None:
        """It goes on reading what it is shown, and knows it where something else is shown."""
        episodes = [
            make_episode(f"e{n}", [True] * (1 + n % 5), memory=f"mug on shelf {n}") for n in range(40)
        ]
        dataset = build(recipe_named("internalise"), _bundle(episodes), 0)
        found = Counter((row.stream, row.has_memory, bool(row.also)) for row in dataset.rows)
        # Without memory many episodes read the same, and only one of each trains; with it, some do.
        assert 0 < found.pop(("main", False, False)) <= 40
        assert found.keys() == {("with memory", True, False), ("with others' memory", True, True)}
        assert all(30 <= n <= 40 for n in found.values())

    def test_a_row_has_the_tools_that_its_model_was_shown(self) -> None:
        """Of a world that nobody here knows; where an episode does not say, those of its world."""
        here = make_episode("e1", [True])
        pay = ToolSpec("pay", "Pay somebody.", {"type": "object", "properties": {}})
        there = replace(make_episode("e2", [True, True]), world="a bank", tools=(pay,))
        rows = build(recipe_named("step"), _bundle([here, there]), 0).rows
        found = {row.episode: row.tools for row in rows}
        assert found["e2"] == (pay,)
        assert found["e1"] == tools_of(here.world) != ()

    def test_a_row_is_shown_with_every_message_with_its_weight(self, tmp_path: Path) -> None:
        """From a file, as a person would read it."""
        dataset = build(recipe_named("step"), _bundle([make_episode("e1", [False, True])]), 0)
        write(dataset, recipe_named("step"), tmp_path)
        (row,) = read_rows(tmp_path)
        lines = coloured(row).plain.splitlines()
        assert "0.00" in lines[2]
        assert lines[2].endswith("✗")
        assert "1.00" in lines[4]
