"""What is made fast is what the class itself makes."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from typing import Any

import pytest

from memory.entry import Found
from memory.nouns.making import maker
from memory.types import Hit, Item, Proposed, Score


@pytest.mark.parametrize("of", [Found, Hit, Item, Proposed, Score])
def test_made_fast_it_is_the_same_and_stays_frozen(of: Any) -> None:
    values = [f"value {place}" for place in range(len(fields(of)))]
    made, own = maker(of)(*values), of(*values)
    assert type(made) is of
    assert made == own
    assert repr(made) == repr(own)
    assert pickle.loads(pickle.dumps(made)) == own
    first = fields(of)[0].name
    assert replace(made, **{first: "new"}) == replace(own, **{first: "new"})
    with pytest.raises(FrozenInstanceError):
        setattr(made, first, "new")


def test_what_is_left_out_is_filled_in_as_the_class_does() -> None:
    values = ["value"] * 16
    assert maker(Item)(*values) == Item(*values)  # type: ignore[call-arg, arg-type]
    assert maker(Item)(*values).lineage is not maker(Item)(*values).lineage  # type: ignore[call-arg, arg-type]


def test_a_class_that_checks_itself_is_refused() -> None:
    @dataclass(frozen=True, slots=True)
    class Positive:
        n: int

        def __post_init__(self) -> None:
            assert self.n > 0

    with pytest.raises(AssertionError, match="checks itself"):
        maker(Positive)
