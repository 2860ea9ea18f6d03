"""The bench of other people's worlds, without them: the rules of the twin, lessons, the report."""

import json
from pathlib import Path

from notebooks.bench_learning.notes import Records
from notebooks.bench_worlds import report
from notebooks.bench_worlds.house import NOTHING, Goal, House, strange
from notebooks.bench_worlds.imported import Recorded, agrees, recorded
from notebooks.bench_worlds.school import ROUTINE, Lesson, encoded, tokenizer_of, weighed, windows


def house() -> House:
    holds = {"cabinet 1": {"mug 1"}, "microwave 1": set(), "shelf 1": set()}
    return House(
        "put a hot mug in shelf.",
        Goal("mug", "shelf", state="heat"),
        spot={"cabinet 1": "a", "microwave 1": "b", "shelf 1": "c"},
        openable=frozenset({"cabinet 1"}),
        holds={place: set(inside) for place, inside in holds.items()},
        can={"mug 1": frozenset({"take", "heat"})},
        fits=frozenset({("shelf", "mug"), ("microwave", "mug")}),
        order={"cabinet 1": 0, "microwave 1": 1, "mug 1": 2, "shelf 1": 3},
    )


WAY = (
    ("go to cabinet 1", "You arrive at cabinet 1. The cabinet 1 is closed."),
    ("open cabinet 1", "You open the cabinet 1. The cabinet 1 is open. In it, you see a mug 1."),
    ("take mug 1 from cabinet 1", "You pick up the mug 1 from the cabinet 1."),
    ("go to microwave 1", "You arrive at microwave 1. On the microwave 1, you see nothing."),
    ("heat mug 1 with microwave 1", "You heat the mug 1 using the microwave 1."),
    ("go to shelf 1", "You arrive at shelf 1. On the shelf 1, you see nothing."),
    ("move mug 1 to shelf 1", "You move the mug 1 to the shelf 1."),
)


def test_the_twin_plays_a_game_as_the_engine_words_it() -> None:
    """To its end; what cannot be done does nothing."""
    game = house()
    assert game.act("take mug 1 from cabinet 1") == NOTHING
    for command, said in WAY:
        assert not game.is_won()
        assert command in game.commands()
        assert game.act(command) == said
    assert game.is_won()


def test_a_cold_mug_is_not_enough() -> None:
    """What is asked to be done to it has to be done, and cooling undoes it."""
    game = house()
    for command, _ in WAY:
        if not command.startswith("heat"):
            game.act(command)
    assert not game.is_won()


def test_a_town_has_customs_of_its_own_and_keeps_them() -> None:
    """Nothing is lost, and the same town is the same again."""
    one = strange(house(), "a")
    assert strange(house(), "a").holds == one.holds
    assert sorted(set.union(*one.holds.values())) == ["mug 1"]


def test_recorded_runs_are_read_and_played_again(tmp_path: Path) -> None:
    """In the older grammar, with thoughts between; one that broke off is left out."""
    old = [(command, said.partition(". ")[2] if command.startswith("go") else said) for command, said in WAY]
    old[-1] = ("put mug 1 in/on shelf 1", "You put the mug 1 in/on the shelf 1.")
    text = "\n".join(f"> Think: well.\n> {command}\n{said}" for command, said in old)
    rows = [{"name": "k/t", "result": True, "traj": text}, {"name": "k/u", "result": 0, "traj": ""}]
    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (run,) = recorded(path)
    assert isinstance(run, Recorded)
    assert (run.game, run.is_won) == ("train/k/t", True)
    assert agrees(house(), run) == (len(WAY), len(WAY), True)


def lesson() -> Lesson:
    opening = (
        "<memory>taken before</memory>\n\nLooking quickly around you, you see a cabinet 2, a cabinet 1."
        "\n\nYour task is to: find it."
    )
    acts = ["go to cabinet 2", "open cabinet 2", "go to cabinet 1", "take mug 1 from cabinet 1"]
    seen = [
        "The cabinet 2 is closed.",
        "In it, you see nothing.",
        "On the cabinet 1, you see a mug 1.",
        "Taken.",
    ]
    turns = [("system", "Work.", 0.0), ("user", opening, 0.0)]
    for act, said in zip(acts, seen, strict=True):
        turns += [
            ("assistant", f'Action: act {{"command": "{act}"}}', 1.0),
            ("user", f"Observation: {said}", 0.0),
        ]
    return Lesson(True, tuple(turns))


def test_acts_that_follow_from_the_one_before_weigh_little() -> None:
    """The next place in the order told, and opening what is closed; windows are of the others."""
    own = weighed(lesson())
    assert [weight for role, _, weight in own.turns if role == "assistant"] == [1.0, ROUTINE, ROUTINE, 1.0]
    first, last = windows(own)
    assert "taken before" in first.turns[1][1]
    assert "taken before" not in last.turns[1][1], "what memory says is for where to go"
    assert [role for role, _, _ in last.turns] == ["system", "user", "assistant", "user", "assistant"]
    ids, weights = encoded(tokenizer_of([own], least=1), last)
    assert len(ids) == len(weights)
    assert weights.count(1.0) > 3


def test_the_report_pairs_what_met_the_same_tasks(tmp_path: Path) -> None:
    """A gain is of tasks met in both arms; a seed that has not ended does not count."""
    raw = tmp_path / "raw"
    raw.mkdir()
    lines = []
    for seed, n in ((1, 4), (2, 4), (3, 2)):
        for place in range(n):
            same = {"policy": "p", "seed": seed, "place": place, "turn": 0, "kind": "k", "tokens": 10}
            for arm, is_won in (("off", place == 0), ("both", place < 2)):
                fields = {**same, "arm": arm, "success": is_won, "steps": 5, "items": 1, "principles": 0}
                lines += [{"what": what, **fields} for what in ("life", "unseen")]
    for arm, steps in (("off", 10), ("as shipped", 7), ("tidied", 8), ("frozen at the change", 9)):
        for day in range(8):
            lines.append({
                "what": "drift", "arm": arm, "seed": 1, "day": day, "won": [True] * 5, "steps": [steps] * 5,
                "living": day, "items": day, "prompt": [0] * 5, "act_ms": 1.0, "learn_ms": 1.0,
            })  # fmt: skip
    (raw / "worlds-x.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    report.write(tmp_path)
    text = (tmp_path / "worlds.md").read_text("utf-8")
    off = report.by_task(Records.of(raw, "worlds").where("unseen", arm="off"), "success")
    assert off.shape == (1, 2, 4)
    assert "| both | 50.0 (" in text
    assert ") | 25.0 (" in text
    assert "| as shipped | 3.00 (3.00 to 3.00) |" in text
    assert (tmp_path / "worlds.png").stat().st_size > 10_000


def test_an_arm_that_has_not_played_is_left_out(tmp_path: Path) -> None:
    """Nothing is written of what nobody played."""
    (tmp_path / "raw").mkdir()
    report.write(tmp_path)
    assert "in ALFWorld's engine" not in (tmp_path / "worlds.md").read_text("utf-8")
