"""Keys by which duplicates are found, secrets by their form, and rows as they are written."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.codec import dumps
from memory.errors import BadInput
from memory.store.rows import body_of, item_text, item_values, lineage_of, parts_of, said_of, utility_of
from memory.types import CaseBody, Draft, Evidence, Item, Lineage, NoteBody, PrincipleBody, Utility
from memory.writing.admission import are_twins, dedupe_key, twin_key
from memory.writing.secrets import MARKS, Detector, check_secrets, detectors, redacted

TEXTS = st.sampled_from(["mug 3", "Mug  3.", "a mug in 3", "mug 4", "3 mugs, 4 pans", "mug", "cabinet b12"])
BODIES = st.one_of(
    st.builds(CaseBody, TEXTS, st.just(()), TEXTS, st.none() | TEXTS),
    st.builds(PrincipleBody, st.sampled_from(["global", "tool"]), st.just("neural"), st.integers(0, 2)),
    st.builds(NoteBody, TEXTS, TEXTS),
)
DRAFTS = st.builds(
    Draft,
    st.sampled_from(["case", "principle"]),
    TEXTS,
    BODIES,
    st.sampled_from(["namespace", "family", "run"]),
    st.none() | TEXTS,
    st.sampled_from(["success", "failure", None]),
    audience=st.none() | TEXTS,
)
WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 2**53)
ITEMS = st.builds(
    Item,
    *(WORDS, WORDS, st.just("case"), st.just("family"), st.none() | WORDS, WORDS),
    body=st.builds(CaseBody, WORDS, st.lists(WORDS, max_size=3).map(tuple), WORDS, st.none() | WORDS),
    outcome=st.none() | st.just("success"),
    status=st.just("active"),
    version=st.integers(1, 9),
    channel=st.just("user"),
    trust=st.integers(0, 4),
    author=WORDS,
    created_at=NUMBERS,
    updated_at=NUMBERS,
    valid_from=NUMBERS,
    valid_to=st.none() | NUMBERS,
    superseded_by=st.none() | WORDS,
    pinned=st.booleans(),
    lineage=st.builds(
        Lineage,
        st.lists(st.builds(Evidence, WORDS, st.integers(0, 9)), max_size=2).map(tuple),
        st.lists(WORDS, max_size=2).map(tuple),
        st.none() | WORDS,
    ),
    utility=st.just(Utility()) | st.builds(Utility, st.integers(1, 9), NUMBERS, NUMBERS),
    audience=st.none() | WORDS,
)


@given(DRAFTS, DRAFTS)
def test_twins_share_a_key_and_nobody_else(one: Draft, other: Draft) -> None:
    """The table is asked by key, so the key must be the rule."""
    assert (twin_key(one) == twin_key(other)) == are_twins(one, other)


@given(DRAFTS, DRAFTS)
def test_what_says_the_same_is_a_twin(one: Draft, other: Draft) -> None:
    """Exact duplicates are the nearest of all; numbers are words too."""
    if dedupe_key(one) == dedupe_key(other):
        assert are_twins(one, other)


@given(ITEMS)
def test_an_item_is_written_as_its_json_and_read_back(item: Item) -> None:
    """The text put together from parts is the canonical one, to the letter.

    Statistics nobody has added to yet are all written alike, whichever zeros they are made of.
    """
    parts = parts_of(item)
    assert item_text(item, parts) == dumps(item)
    row = item_values(item, said_of(item), parts, 1)
    read = replace(
        item,
        body=body_of(item.kind, str(row["body"])),
        lineage=lineage_of(str(row["lineage"])),
        utility=utility_of(str(row["utility"])),
    )
    assert read == item


@pytest.mark.parametrize("detector", detectors(), ids=lambda one: f"{one.kind}: {one.pattern.pattern[:24]}")
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_mark_lets_every_secret_of_its_kind_through(detector: Detector, data: st.DataObject) -> None:
    """Marks only save work: whatever a detector matches is refused, and is gone once it is blotted out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        text = data.draw(st.from_regex(detector.pattern))
    with pytest.raises(BadInput, match="holds a secret"):
        check_secrets([text])
    assert "[secret: " in redacted(text)


def test_every_kind_has_its_marks() -> None:
    """A detector that the library brings anew is used on every text until it is given marks."""
    assert {one.kind for one in detectors()} == set(MARKS)


def test_prose_is_left_as_it_is() -> None:
    """Colons, dots, links and capitals are no secrets."""
    prose = (
        "ACT: see https://example.org/a.b (AP news, SK). The password: ask the owner; aws key is in the box."
    )
    check_secrets([prose])
    assert redacted(prose) == prose
