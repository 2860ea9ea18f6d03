"""Reading answers that must have a form."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.models.schema import Unreadable, checked_json, extract_json, read_choice

SCALARS = st.none() | st.booleans() | st.integers() | st.text()
VALUES = st.dictionaries(st.text(), SCALARS | st.lists(SCALARS) | st.dictionaries(st.text(), SCALARS))


@given(VALUES)
def test_json_survives_fences_and_talk(value: dict[str, object]) -> None:
    """Whatever the object, words and fences around it do not change it."""
    text = json.dumps(value)
    for said in (text, f"```json\n{text}\n```", f"Here it is: {text} Good luck!"):
        assert extract_json(said) == value


@given(st.dictionaries(st.text(st.characters(codec="ascii")), st.text(st.characters(codec="ascii"))))
def test_lost_last_bracket_is_put_back(value: dict[str, str]) -> None:
    """A text cut just before its end still reads the same."""
    assert extract_json(json.dumps(value)[:-1]) == value


@pytest.mark.parametrize("text", ["", "no", "{'a': 1}", "{{{"])
def test_text_without_json_is_unreadable(text: str) -> None:
    """There is no guessing."""
    with pytest.raises(Unreadable):
        extract_json(text)


def test_first_violation_names_the_place() -> None:
    """The message can be shown to a model."""
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}}
    with pytest.raises(Unreadable, match=r"\['a'\]\[1\]: 'x' is not of type 'integer'"):
        checked_json('{"a": [1, "x"]}', schema)


@given(st.lists(st.text(st.characters(categories=["Ll"]), min_size=1), min_size=1, unique=True), st.data())
def test_every_choice_is_read_back(choices: list[str], data: st.DataObject) -> None:
    """Bare or as JSON, a choice gives its own index (or that of an equal one but for case)."""
    index = data.draw(st.integers(0, len(choices) - 1))
    said = choices[index]
    for text in (said, f'"{said}".', json.dumps({"choice": said})):
        assert choices[read_choice(text, choices)].casefold() == said.casefold()


def test_part_of_a_choice_is_none() -> None:
    """`not sure` does not mean `not`."""
    with pytest.raises(Unreadable, match="none of"):
        read_choice("not sure", ["not", "sure"])
