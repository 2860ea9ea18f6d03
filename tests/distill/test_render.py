"""Rows to tokens: end marks, prefixes, spans, truncation."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.models.local.chat import Chat
from agent.types import ToolSpec
from distill.render import fitted_to, render, tokenise
from distill.shapes.masks import MaskErrors, trajectory
from distill.signals.outcomes import Uniform
from distill.types import Row
from memory.errors import DistillError
from memory.types import Episode, Message, Span, ToolCall
from tests.distill.episodes import episode_lists, make_episode


def _row(episode: Episode) -> Row:
    return MaskErrors()([trajectory(episode, Uniform()([episode])[episode.id])], {})[0]


def _words(chat: Chat, tokens: tuple[int, ...]) -> list[str]:
    return list(chat.tokenizer.convert_ids_to_tokens(list(tokens)))


class TestMasks:
    """Weights of tokens follow weights of messages."""

    def test_a_trained_turn_trains_its_words_and_its_end_mark(self, chat: Chat) -> None:
        """The role marker before it and everything around it do not."""
        row = render(_row(make_episode("e1", [False, True])), chat)
        trained = [w for w, weight in zip(_words(chat, row.tokens), row.weights, strict=True) if weight]
        assert trained == ["looking", "for", "mug", ".", ">", "go", "to", "cabinet", "4", "<end>"]

    @settings(max_examples=40)
    @given(episodes=episode_lists())
    def test_trained_tokens_are_the_trained_messages(self, chat: Chat, episodes: list[Episode]) -> None:
        """Text of the weighted tokens = text of the weighted messages, in order."""
        for episode in episodes:
            row = _row(episode)
            tokens = render(row, chat)
            trained = [t for t, weight in zip(tokens.tokens, tokens.weights, strict=True) if weight]
            said = " ".join(m.text for m in row.messages if m.weight)
            assert chat.decode(trained).split() == said.split()

    @settings(max_examples=40)
    @given(episodes=episode_lists())
    def test_what_is_served_is_a_prefix_of_what_is_trained(self, chat: Chat, episodes: list[Episode]) -> None:
        """For every assistant turn: the prompt that asked for it begins the sequence."""
        for episode in episodes:
            tokens = render(_row(episode), chat).tokens
            for at, message in enumerate(episode.messages):
                if message.role == "assistant":
                    prompt = chat.prompt(episode.messages[:at])
                    assert list(tokens[: len(prompt)]) == prompt

    def test_a_template_that_rewrites_history_is_refused(self, chat: Chat) -> None:
        """Training on a prompt that is never served would be silent damage."""
        other = AlteredChat.of(chat, "{{ messages|length }} " + chat.tokenizer.chat_template)
        with pytest.raises(DistillError, match="not a token prefix"):
            render(_row(make_episode("e1", [True, True])), other)

    def test_a_span_has_its_own_weight(self, chat: Chat) -> None:
        """Here the thought trains half, the command whole."""
        row = _row(make_episode("e1", [True]))
        text = row.messages[1].text
        message = replace(row.messages[1], spans=(Span(0, text.index(">"), 0.5),))
        spanned = replace(row, messages=(row.messages[0], message, row.messages[2]))
        tokens = render(spanned, chat)
        by_word = dict(zip(_words(chat, tokens.tokens), tokens.weights, strict=True))
        assert by_word["looking"] == 0.5
        assert by_word["cabinet"] == 1.0
        assert by_word["nothing" if "nothing" in by_word else "done"] == 0.0


class TestFullStyle:
    """Large models: tools told in words, turns that alternate."""

    def test_tools_are_told_once_in_the_system_message_and_memory_joins_the_task(self, chat: Chat) -> None:
        """What strict templates take: system, user, assistant, user."""
        row = _called(make_episode("e1", [True], memory="mug on shelf 3"))
        text = _full(chat).render(row.messages, row.tools)
        assert text.count("do one thing") == 1
        assert text.index("<system>") < text.index("do one thing") < text.index("<user>")
        assert text.count("<user>") == 2
        assert "Observation: it is done" in text

    def test_the_served_prompt_is_still_a_prefix(self, chat: Chat) -> None:
        """With tools, calls and joined messages."""
        row = _called(make_episode("e1", [True, False, True], memory="mug on shelf 3", rules="wash"))
        rendered, full = render(row, _full(chat)), _full(chat)
        for at in (3, 5, 7):
            prompt = full.prompt(row.messages[:at], row.tools)
            assert list(rendered.tokens[: len(prompt)]) == prompt
        assert any(rendered.weights)

    def test_tools_that_nobody_recorded_are_refused(self, chat: Chat) -> None:
        """The prompt that was served cannot be made again."""
        row = replace(_called(make_episode("e1", [True])), tools=())
        with pytest.raises(DistillError, match="tools"):
            render(row, _full(chat))


class TestScale:
    """Weights are relative."""

    @settings(max_examples=25)
    @given(factor=st.floats(0.01, 100), weights=st.lists(st.floats(0.1, 5), min_size=3, max_size=3))
    def test_multiplying_all_weights_changes_nothing(
        self, chat: Chat, factor: float, weights: list[float]
    ) -> None:
        """And their mean over trained tokens is 1."""
        rows = [_weighted(f"e{n}", weight) for n, weight in enumerate(weights)]
        scaled = [_weighted(f"e{n}", weight * factor) for n, weight in enumerate(weights)]
        left, right = tokenise(rows, chat, 256), tokenise(scaled, chat, 256)
        for one, two in zip(left, right, strict=True):
            assert one.tokens == two.tokens
            assert one.weights == pytest.approx(two.weights, rel=1e-6)
        trained = [w for row in left for w in row.weights if w > 0]
        assert sum(trained) / len(trained) == pytest.approx(1)


class TestLength:
    """Whole steps are dropped, oldest first."""

    def test_a_long_row_loses_its_oldest_steps(self, chat: Chat) -> None:
        """The task stays, and so does the newest step."""
        row = _row(make_episode("e1", [True] * 30))
        fitted = fitted_to(row, chat, 120)
        assert fitted is not None
        assert len(chat.encode(chat.render(fitted.messages))) <= 120
        assert fitted.messages[0] == row.messages[0]
        assert fitted.messages[-2:] == row.messages[-2:]
        assert fitted.messages[1].role == "assistant"
        assert fitted.indices[-1] == row.indices[-1]

    def test_rows_that_cannot_fit_are_left_out(self, chat: Chat) -> None:
        """And when none fits, training is refused."""
        with pytest.raises(DistillError, match="10 tokens"):
            tokenise([_row(make_episode("e1"))], chat, 10)


class AlteredChat:
    """A chat whose template is another one."""

    @staticmethod
    def of(chat: Chat, template: str) -> Chat:
        tokenizer = type(chat.tokenizer)(
            tokenizer_object=chat.tokenizer.backend_tokenizer, eos_token="<end>", unk_token="<unk>"
        )
        tokenizer.chat_template = template
        return replace(chat, tokenizer=tokenizer)


def _full(chat: Chat) -> Chat:
    return replace(chat, settings=chat.settings.model_copy(update={"style": "full"}))


def _called(episode: Episode) -> Row:
    """The row with a native call on every act, as the loop keeps them."""
    row = _row(episode)
    call = ToolCall("c1", "act", {"command": "go"})
    messages = [replace(m, tool_calls=(call,) if m.role == "assistant" else ()) for m in row.messages]
    return replace(row, messages=tuple(messages), tools=(ToolSpec("act", "do one thing", {}),))


def _weighted(id_: str, weight: float) -> Row:
    row = _row(make_episode(id_, [True, True]))
    messages: list[Message] = [replace(m, weight=weight if m.weight else 0.0) for m in row.messages]
    return replace(row, messages=tuple(messages))
