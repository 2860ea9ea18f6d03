"""Answers of a form from a model that was never taught one, with the model's words written by hand."""

import json

import pytest

from agent.models.local.forms import in_form
from agent.types import Reply, Request
from memory.errors import BadInput, ModelError
from memory.types import Json, Message, Usage

WORDS: dict[str, Json] = {
    "type": "object",
    "properties": {"lessons": {"type": "array", "items": {"type": "string"}}},
    "required": ["lessons"],
    "additionalProperties": False,
}
CHOICES: dict[str, Json] = {
    "type": "object",
    "properties": {
        "verdict": {"enum": ["yes", "no"]},
        "sure": {"type": "boolean"},
        "why": {"type": "string"},
    },
    "required": ["verdict", "sure"],
}
RIGHT = '{"lessons": ["mug"]}'


class Small:
    """Says what it was told to, and takes the last option of every choice."""

    def __init__(self, *said: str | Exception) -> None:
        self.said = list(said)
        self.asked: list[Request] = []

    async def __call__(self, request: Request) -> Reply:
        self.asked.append(request)
        assert request.schema is None
        if request.choices:
            best = len(request.choices) - 1
            return Reply(Message("assistant", request.choices[best]), Usage(5, 1, calls=1), choice=best)
        text = self.said.pop(0)
        if isinstance(text, Exception):
            raise text
        return Reply(Message("assistant", text), Usage(3, 2, calls=1))


def request(schema: dict[str, Json]) -> Request:
    return Request((Message("user", "reflect."),), schema=schema)


@pytest.mark.parametrize(
    "text", [RIGHT, f"I think {RIGHT} is it.", f"```json\n{RIGHT}\n```", '{"lessons": ["mug"', f"{RIGHT}}}}}"]
)
async def test_what_is_written_is_read_through_prose_fences_and_cuts(text: str) -> None:
    """The reply is the JSON alone; nothing is asked twice."""
    small = Small(text)
    reply = await in_form(request(WORDS), small)
    assert reply.message.text == RIGHT
    assert (len(small.asked), reply.usage) == (1, Usage(3, 2, calls=1))


async def test_a_model_is_told_once_what_is_wrong() -> None:
    """With its own words before it; both answers are paid for."""
    small = Small('{"insights": ["mug"]}', RIGHT)
    reply = await in_form(request(WORDS), small)
    assert (reply.message.text, reply.usage.calls) == (RIGHT, 2)
    first, said, told = small.asked[1].messages
    assert (first.text, said.text) == ("reflect.", '{"insights": ["mug"]}')
    assert "'lessons' is a required property" in told.text or "insights" in told.text


@pytest.mark.parametrize("second", ["no JSON again", BadInput("the prompt is too long")])
async def test_words_that_stay_unreadable_are_an_error(second: str | Exception) -> None:
    """It says why, and nothing is made up."""
    small = Small("fact: mug is in cabinet 3 (2).", second)
    with pytest.raises(ModelError, match="does not satisfy the schema: there is no JSON"):
        await in_form(request(WORDS), small)


async def test_a_form_of_choices_is_chosen_field_by_field() -> None:
    """When writing failed twice: only what must be there, every value one of those allowed."""
    small = Small("yes, surely", "I said yes")
    reply = await in_form(request(CHOICES), small)
    assert json.loads(reply.message.text) == {"verdict": "no", "sure": False}
    assert [one.choices for one in small.asked[2:]] == [('"yes"', '"no"'), ("true", "false")]
    assert (reply.usage, reply.choice) == (Usage(16, 6, calls=4), None)


async def test_a_single_choice_is_never_written() -> None:
    """By likelihood at once."""
    small = Small()
    reply = await in_form(request({"enum": ["mug", 2]}), small)
    assert (reply.message.text, reply.choice, len(small.asked)) == ("2", None, 1)
