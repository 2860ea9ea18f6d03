"""Rows to tokens with a weight each, through the same template and tokenizer that serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.models.local.chat import Chat
from distill.types import Row
from memory.errors import DistillError
from memory.types import Message


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One training sequence."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]
    """Weight of each token as a target; 0 is context."""

    @property
    def n_trained(self) -> int:
        """Tokens with weight."""
        return sum(weight > 0 for weight in self.weights)


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """One answer and what it is worth, for objectives that judge it as a whole."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    """Up to and with its end mark."""
    worth: float
    """Weight of the last message: its sign is a label for `unpaired`, it is the advantage for `regress`."""
    rejected: tuple[int, ...] = ()
    """For `prefer`: the worse answer."""

    @property
    def n_trained(self) -> int:
        """Tokens whose probability counts."""
        return len(self.answer) + len(self.rejected)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Tokens `[begin, end)` that a trained message came to."""

    begin: int
    end: int
    message: int


def tokenise(rows: Sequence[Row], chat: Chat, context: int) -> tuple[TokenRow, ...]:
    """All rows as tokens, weights scaled to a mean of 1 over the trained tokens of the whole dataset.

    Multiplying every message's weight by the same number therefore changes nothing. Rows longer than
    `context` lose their oldest steps; one that cannot be made to fit is left out. Raises DistillError when
    serving would not give the model the prompt it is trained on, or nothing is left.
    """
    fitted = [fit for row in rows if (fit := fitted_to(row, chat, context)) is not None]
    rendered = [render(row, chat) for row in fitted]
    trained = [weight for row in rendered for weight in row.weights if weight > 0]
    if not trained:
        raise DistillError(f"no row fits into the model's {context} tokens")
    scale = len(trained) / sum(trained)
    return tuple(TokenRow(row.tokens, tuple(w * scale for w in row.weights)) for row in rendered)


def answers(rows: Sequence[Row], chat: Chat, context: int) -> tuple[TokenAnswer, ...]:
    """The last message of every row as an answer; rows are shortened as by `tokenise`.

    Raises DistillError when a last message is not the assistant's, or serving would not give that prompt, or
    nothing is left.
    """
    fitted = [fit for row in rows if (fit := fitted_to(row, chat, context)) is not None]
    if not fitted:
        raise DistillError(f"no row fits into the model's {context} tokens")
    return tuple(_answer(row, chat) for row in fitted)


def _answer(row: Row, chat: Chat) -> TokenAnswer:
    last = len(row.messages) - 1
    if row.messages[last].role != "assistant":
        raise DistillError(f"a row of episode {row.episode} ends with no answer of the assistant")
    told = [_said(one, last, chat) for one in _both(row)]
    prompt = told[0][0]
    worse = told[1][1] if row.rejected is not None else ()
    return TokenAnswer(prompt, told[0][1], float(row.messages[last].weight or 0.0), worse)


def _said(row: Row, at: int, chat: Chat) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Prompt and answer of message `at`."""
    _refuse_unknown_tools(row, chat)
    tokens = chat.encode(chat.render(row.messages, row.tools))
    stretch = _stretch(row, at, tokens, chat)
    return tuple(tokens[: stretch.begin]), tuple(tokens[stretch.begin : stretch.end])


def _both(row: Row) -> tuple[Row, ...]:
    """The row, and the row with the worse answer where it has one."""
    if row.rejected is None:
        return (row,)
    return (row, replace(row, messages=(*row.messages[:-1], row.rejected)))


def render(row: Row, chat: Chat) -> TokenRow:
    """Tokens and weights of one row: each trained message up to and with its end mark.

    Raises DistillError when a served prompt is not a token prefix of the trained sequence, or is not known
    because it told of tools that nobody recorded.
    """
    _refuse_unknown_tools(row, chat)
    tokens = chat.encode(chat.render(row.messages, row.tools))
    weights = [0.0] * len(tokens)
    for at, message in enumerate(row.messages):
        if message.weight:
            stretch = _stretch(row, at, tokens, chat)
            weights[stretch.begin : stretch.end] = _weights(message, stretch, tokens, chat)
    return TokenRow(tuple(tokens), tuple(weights))


def _refuse_unknown_tools(row: Row, chat: Chat) -> None:
    # What is asked beside the turns is asked without tools, whatever was called before.
    calls = any(m.tool_calls and m.weight for m in row.messages)
    if chat.settings.style == "full" and not row.tools and calls:
        raise DistillError(f"episode {row.episode} called tools of a world that distillation does not know")


def fitted_to(row: Row, chat: Chat, context: int) -> Row | None:
    """The row without its oldest steps until it fits; None when even its last step does not.

    A step is an assistant message with what answered it; what comes before the first one always stays.
    """
    while max(len(chat.encode(chat.render(one.messages, one.tools))) for one in _both(row)) > context:
        begins = [at for at, message in enumerate(row.messages) if message.role == "assistant"]
        if len(begins) < 2:
            return None
        row = replace(
            row,
            messages=(*row.messages[: begins[0]], *row.messages[begins[1] :]),
            indices=(*row.indices[: begins[0]], *row.indices[begins[1] :]),
        )
    return None if row.is_empty else row


def _stretch(row: Row, at: int, tokens: Sequence[int], chat: Chat) -> _Stretch:
    """Where message `at` lies; what the template adds after the end mark (a line break) is not trained."""
    prompt = chat.prompt(row.messages[:at], row.tools)
    through = chat.encode(chat.render(row.messages[: at + 1], row.tools))
    if list(tokens[: len(prompt)]) != prompt or list(tokens[: len(through)]) != through:
        raise DistillError(
            f"message {row.indices[at]} of episode {row.episode}: the prompt that is served is not a token"
            " prefix of the trained text; this chat template needs a recipe of single steps"
        )
    ends = [n for n in range(len(prompt), len(through)) if through[n] in chat.stop_ids]
    return _Stretch(len(prompt), ends[-1] + 1 if ends else len(through), at)


def _weights(message: Message, stretch: _Stretch, tokens: Sequence[int], chat: Chat) -> list[float]:
    """The message's weight on every token, or its spans' where it has some.

    A token that straddles the edge of a span gets the smaller weight.
    """
    n_tokens, whole = stretch.end - stretch.begin, float(message.weight or 0.0)
    if not message.spans:
        return [whole] * n_tokens
    letters = [whole] * len(message.text)
    for span in message.spans:
        letters[span.begin : span.end] = [max(0.0, span.weight)] * (span.end - span.begin)
    weights: list[float] = []
    text, at = message.text, 0
    for token in tokens[stretch.begin : stretch.end]:
        piece = chat.decode([token]).strip()
        found = text.find(piece, at) if piece else -1
        covered = letters[found : found + len(piece)] if found >= 0 else []
        at = found + len(piece) if found >= 0 else at
        weights.append(min(covered, default=whole))
    return weights
