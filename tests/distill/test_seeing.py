"""What a distillation did, as people see it: rows in colour, a page without scripts."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from distill import dataset as files
from distill.build import build
from distill.bundle import Bundle
from distill.recipes import recipe_named
from distill.seeing.job import read_job_folder
from distill.seeing.page import page
from distill.seeing.pieces import largest, lines_of
from distill.seeing.terminal import coloured
from distill.types import Row
from memory.errors import DistillError
from memory.types import Message, Span
from tests.distill.episodes import NAMESPACE, make_episode

HOSTILE = "<script>alert(1)</script> & <b>"


def _row() -> Row:
    messages = (
        Message("user", "a fact", kind="memory", weight=0.0),
        Message("user", "go", kind="task", weight=0.0),
        Message("assistant", "wrong way", ok=False, weight=0.0),
        Message("assistant", "think then act", weight=0.5, spans=(Span(0, 5, 0.0),)),
        Message("assistant", "done", weight=1.0),
    )
    return Row("e1", messages, (0, 1, 2, 3, 4))


def test_pieces_are_cut_where_weights_change() -> None:
    """Memory is memory, a span has its own weight, what is 0 is context."""
    told = [[(piece.text, piece.weight, piece.fate) for piece in line.pieces] for line in lines_of(_row())]
    assert told == [
        [("a fact", 0.0, "memory")],
        [("go", 0.0, "context")],
        [("wrong way", 0.0, "context")],
        [("think", 0.0, "context"), (" then act", 0.5, "trains")],
        [("done", 1.0, "trains")],
    ]
    assert [line.is_wrong for line in lines_of(_row())] == [False, False, True, False, False]


def test_what_is_worse_and_what_is_unlearned_is_against() -> None:
    """A rejected answer is the last line; weights below 0 are of the same kind."""
    row = replace(_row(), rejected=Message("assistant", "no"))
    assert [piece.fate for piece in lines_of(row)[-1].pieces] == ["against"]
    signed = Row("e1", (Message("assistant", "bad", weight=-2.0),), (0,))
    assert lines_of(signed)[0].pieces[0].fate == "against"
    assert largest(signed) == 2.0


def test_a_terminal_shows_weights_by_colour() -> None:
    """Half of the strongest weight and more is bold."""
    text = coloured(_row())
    styles = {text.plain[span.start : span.end]: str(span.style) for span in text.spans}
    assert styles["a fact"] == "not bold blue"
    assert styles["think"] == "not bold dim"
    assert styles["done"] == "not bold bold green"
    assert "✗" in text.plain.splitlines()[3]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]


def _job(folder: Path, words: str) -> Path:
    episode = make_episode("e1", [False, True])
    messages = tuple(
        replace(one, content=f"{one.text} {words}") if one.role == "tool" else one for one in episode.messages
    )
    left_out = make_episode("e2", [True], outcome="unknown")
    pool = (replace(episode, messages=messages), left_out)
    recipe = recipe_named("step")
    made = build(recipe, Bundle(NAMESPACE, pool, {}), 0)
    files.write(made, recipe, folder / "dataset")
    arm = {"success": 0.5, "ci": [0.3, 0.7], "steps": 8.0, "n": 10}
    report = {
        "adapter": "step-1",
        "promoted": True,
        "reason": "better",
        "arms": {"adapt": {"base": arm, "+adapter": {**arm, "success": 0.9, "ci": [0.7, 1.0]}}},
        "difference": {"adapt": {"role": "adapt", "success": 0.4, "ci": [0.2, 0.6], "pairs": 10, "p": 0.01}},
        "dataset": {
            "hash": made.hash,
            "rows": len(made.rows),
            "tokens": 9,
            "episodes": 1,
            "rejected": [{"episode": one.episode, "reason": one.reason} for one in made.rejected],
        },
        "train": {"updates": 3, "seconds": 1.5, "first_loss": 2.0, "last_loss": 0.5},
    }
    (folder / "report.json").write_text(json.dumps(report))
    told = [
        {"at": 1.0 + n, "stage": "train", "done": n, "total": 3, "message": "", "metrics": {"loss": loss}}
        for n, loss in enumerate((2.0, 1.0, 0.5))
    ]
    (folder / "progress.jsonl").write_text("".join(json.dumps(one) + "\n" for one in told))
    return folder


def test_the_page_tells_data_masks_loss_arms_and_cost(tmp_path: Path) -> None:
    """Numbers of the report and of the rows; the curve has a point an update."""
    seen = read_job_folder(_job(tmp_path, ""))
    assert seen.losses == (2.0, 1.0, 0.5)
    assert seen.seconds == {"train": 2.0}
    assert seen.reasons == [("the outcome is unknown", 1)]
    html = page(seen)
    for said in (
        "Promoted.",
        "90 (70 to 100)",
        "+40 (+20 to +60)",
        "the outcome is unknown",
        "2.000 → 0.500",
    ):
        assert said in html
    assert html.count(",", html.index("points=")) >= 3
    assert '<td>were wrong</td><td class="n">1</td>' in html


def test_words_of_strangers_are_words(tmp_path: Path) -> None:
    """No tag of theirs is one of the page's, and the page asks nobody for anything."""
    html = page(read_job_folder(_job(tmp_path, HOSTILE)))
    tags = _Tags()
    tags.feed(html)
    assert "script" not in tags.names
    assert not tags.links
    assert "&lt;script&gt;" in html


def test_a_job_without_a_report_says_so(tmp_path: Path) -> None:
    """Nothing half is shown."""
    with pytest.raises(DistillError, match="has no report to show"):
        read_job_folder(tmp_path)
