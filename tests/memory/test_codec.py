"""Values survive the trip through JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.codec import dumps, from_json, loads, to_json
from memory.errors import BadInput
from memory.types import (
    CaseBody,
    Constitution,
    Draft,
    Episode,
    Evidence,
    Image,
    Item,
    Json,
    Lineage,
    Message,
    NoteBody,
    PrincipleBody,
    ProcedureBody,
    Query,
    Recalled,
    RecallRecord,
    Span,
    Text,
    ToolCall,
    Usage,
    Utility,
)

texts = st.text(st.characters(codec="utf-8"), max_size=12)
floats = st.floats(allow_nan=False, allow_infinity=False)
maybe_float = st.none() | floats
ints = st.integers(0, 2**40)
json_values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, json_values, max_size=3)


def tuples(inner: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(inner, max_size=3).map(tuple)


content = texts | tuples(st.builds(Text, texts) | st.builds(Image, texts))
messages = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=content,
    kind=st.sampled_from([None, "act", "memory"]),
    tool_calls=tuples(st.builds(ToolCall, texts, texts, objects)),
    tool_call_id=st.none() | texts,
    ok=st.none() | st.booleans(),
    weight=maybe_float,
    spans=tuples(st.builds(Span, ints, ints, floats)),
    logprob=maybe_float,
    reward=maybe_float,
)
queries = st.builds(Query, texts, texts, family=st.none() | texts, drop_rate=floats, at=maybe_float)
records = st.builds(
    RecallRecord,
    queries,
    ints,
    texts,
    tuples(st.builds(Recalled, texts, ints, floats, floats, st.booleans())),
    tuples(texts),
)
episodes = st.builds(
    Episode,
    *[texts] * 7,
    tuples(messages),
    st.sampled_from(["success", "failure", "unknown", "infra"]),
    reward=maybe_float,
    feedback=objects,
    recall=st.none() | records,
    usage=st.builds(Usage, ints, ints, floats, ints),
    error=st.none() | texts,
)
lineages = st.builds(
    Lineage, tuples(st.builds(Evidence, texts, ints)), tuples(texts), source=st.none() | texts
)
utilities = st.builds(Utility, ints, floats, floats, ints, floats, maybe_float)
bodies = st.one_of(
    st.builds(CaseBody, texts, tuples(texts), texts, st.none() | texts, ints),
    st.builds(PrincipleBody, st.sampled_from(["global", "tool"]), st.just("neural"), ints, ints),
    st.builds(ProcedureBody, texts, texts, tuples(texts), tuples(texts), tuples(texts)),
    st.builds(NoteBody, texts, texts),
)
items = st.builds(
    Item,
    *[texts] * 2,
    kind=st.just("case"),
    scope=st.just("family"),
    family=st.none() | texts,
    text=texts,
    body=bodies,
    outcome=st.sampled_from([None, "success", "failure"]),
    status=st.just("active"),
    version=ints,
    channel=st.just("user"),
    trust=st.integers(0, 4),
    author=texts,
    created_at=floats,
    updated_at=floats,
    valid_from=floats,
    valid_to=maybe_float,
    lineage=lineages,
    utility=utilities,
)
drafts = st.builds(Draft, st.just("case"), texts, bodies, lineage=lineages)
values = episodes | items | drafts | st.builds(Constitution, texts, st.none() | texts, texts, tuples(items))


@given(values)
def test_a_value_comes_back_equal(value: object) -> None:
    """Data and text forms both lose nothing, whatever the nesting."""
    assert from_json(type(value), to_json(value)) == value
    assert loads(type(value), dumps(value)) == value


@given(values)
def test_equal_values_have_one_text(value: object) -> None:
    """Hashes are taken over the text, so it must not depend on how a value was built."""
    assert dumps(loads(type(value), dumps(value))) == dumps(value)


@given(values)
def test_the_short_way_to_text_ends_where_the_long_one_does(value: object) -> None:
    """Texts are hashed and compared with those of earlier releases, which took the long one."""
    data = to_json(value)
    assert dumps(value) == json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_what_json_cannot_say_is_refused(number: float) -> None:
    """A NaN that became null would be a silent loss."""
    with pytest.raises(BadInput, match="NaN"):
        dumps(Utility(q=number))


def test_data_of_another_shape_is_refused_by_name() -> None:
    """The message says what was expected and where it went wrong."""
    with pytest.raises(BadInput, match="not a valid Evidence: message"):
        from_json(Evidence, {"episode": "e", "message": "x"})
    with pytest.raises(BadInput, match="not a valid Evidence"):
        loads(Evidence, "{")
