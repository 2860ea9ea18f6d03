"""Pictures on their way to a model."""

from agent.models.wire import to_wire
from agent.types import Observation
from memory.nouns.messages import LARGEST_KEPT
from memory.types import Image, Message, Text, ToolCall

DOT = Image("data:image/png;base64,AAAA")
LARGE = Image("data:image/png;base64," + "A" * LARGEST_KEPT, "high")


def test_a_large_picture_is_kept_by_its_digest_and_a_small_one_whole() -> None:
    assert DOT.kept == DOT
    assert Image("https://example.com/" + "a" * LARGEST_KEPT).kept.url.startswith("https://")
    named = LARGE.kept
    assert named.is_named
    assert named.kept == named
    assert named.detail == "high"
    assert named == Image(LARGE.url, "high").kept
    assert named.url != Image(LARGE.url + "A").kept.url


def test_what_tools_showed_follows_all_their_answers() -> None:
    """The format has no place for pictures in the answer of a tool, and none between the answers."""
    calls = (ToolCall("call00000", "draw", {}), ToolCall("call00001", "look", {}))
    drawn = Observation("a dot", images=(DOT,)).content
    messages = (
        Message("assistant", tool_calls=calls),
        Message("tool", drawn, tool_call_id="call00000"),
        Message("tool", "nothing", tool_call_id="call00001"),
        Message("user", "go on"),
    )
    wire = to_wire(messages, native_tools=True)
    assert [entry["role"] for entry in wire] == ["assistant", "tool", "tool", "user", "user"]
    assert wire[1]["content"] == "a dot"
    assert wire[3]["content"] == [
        {"type": "text", "text": "What the tools above showed:"},
        {"type": "image_url", "image_url": {"url": DOT.url, "detail": "auto"}},
    ]
    in_words = to_wire(messages[:2], native_tools=False)
    assert [entry["role"] for entry in in_words] == ["assistant", "user", "user"]


def test_a_picture_that_was_not_kept_is_said_to_be_missing() -> None:
    (entry,) = to_wire((Message("user", (Text("look"), LARGE.kept)),), native_tools=True)
    assert entry["content"] == [
        {"type": "text", "text": "look"},
        {"type": "text", "text": "[a picture that was shown here and not kept]"},
    ]
