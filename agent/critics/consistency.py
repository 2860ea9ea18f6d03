"""Is a run to be trusted? Ask what its answer answers: who knew what they did does the same again.

From the answer come questions, from each question a plan of calls. Where equal intent gives equal calls the
run is believed; where they scatter it is not. No model judges. As long as nobody has said how runs went a
rule decides, then a classifier that `python -m distill.consistency` fits to those of which somebody did.

Source: Sengupta et al. 2024 (MAG-V), arXiv 2412.04494, verification by distant supervision. Deviation:
alternates are planned, not run, so they cost one call of a model each and change nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from agent.critics.trajectories import Features, Trajectory, features
from agent.deliberate.asking import json_of
from agent.models.wire import describe_tools
from agent.types import ANSWER_TOOL, Ask, Judgement, Request, ToolSpec
from memory.codec import from_json
from memory.encoder import Encoder
from memory.errors import BadInput
from memory.types import Json, Message, ToolCall

FORMAT = 1
CARD = "consistency.json"
Attempt = Callable[[str], Awaitable[Trajectory]]
"""The calls that a question leads to."""
_ASK = """Somebody was asked something and did what is told below. Write {n} different questions that this
answers in full, as the one who asked may have put them, each with all names and numbers it takes.

{answer}

Answer with JSON: `questions`."""
_PLAN = """{tools}

Which of these tools would you call for this, in which order, with which arguments? Answer with JSON: `calls`,
each with `tool` and `arguments`.

{question}"""
_QUESTIONS: Mapping[str, Json] = {
    "type": "object",
    "properties": {"questions": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
    "required": ["questions"],
}


@dataclass(frozen=True, slots=True)
class Fitted:
    """A logistic regression over the features; probabilities that a run went well."""

    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    encoder: str
    """Generation of the vectors that `meaning` was measured by."""
    format: int = FORMAT

    def probability(self, row: Sequence[float]) -> float:
        """0..1."""
        columns = zip(row, self.means, self.scales, self.weights, strict=True)
        logit = self.bias + math.fsum(w * (x - mean) / scale for x, mean, scale, w in columns)
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, logit))))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found, and what it rests on."""

    judgement: Judgement
    features: Features | None = None
    """None where no question or plan could be had."""


@dataclass(frozen=True, slots=True)
class Consistency:
    """How many questions are asked, and what decides."""

    encoder: Encoder
    fitted: Fitted | None = None
    """Decides in the place of the rule; at one half."""
    n: int = 3
    """Questions made from an answer."""
    least: float = 0.7
    """The rule: mean likeness by edits that it takes."""

    async def judge(self, answer: str, base: Trajectory, ask: Ask, attempt: Attempt) -> Verdict:
        """Judge a run by its answer and its calls. Raises what asking raises."""
        alternates = [await attempt(question) for question in await questions(ask, answer, self.n)]
        if not alternates:
            return Verdict(Judgement(0.5, None, "no question could be made from the answer"))
        return self.compared(base, alternates)

    def compared(self, base: Trajectory, alternates: Sequence[Trajectory]) -> Verdict:
        """The same, of alternates that exist already."""
        found = features(base, alternates, self.encoder)
        score = found.edit if self.fitted is None else self.fitted.probability(found.row)
        ok = score > (self.least if self.fitted is None else 0.5)
        told = "" if ok else f"asked again, the calls are other ones: {found.edit:.2f} alike"
        return Verdict(Judgement(score, ok, told), found)


async def questions(ask: Ask, answer: str, n: int) -> tuple[str, ...]:
    """At most `n` questions that an answer answers. The question that was asked is not shown, on purpose."""
    asked = Request((Message("user", _ASK.format(n=n, answer=answer)),))
    said = await json_of(ask, asked, _QUESTIONS)
    return tuple(dict.fromkeys(cast(list[str], said["questions"])))[:n] if said else ()


def planned(ask: Ask, tools: Sequence[ToolSpec]) -> Attempt:
    """Attempts that only plan; a plan that cannot be read calls nothing."""
    offered = [tool for tool in tools if tool.name != ANSWER_TOOL]
    schema = _plan_schema([tool.name for tool in offered])

    async def attempt(question: str) -> Trajectory:
        wish = _PLAN.format(tools=describe_tools(offered), question=question)
        said = await json_of(ask, Request((Message("user", wish),)), schema)
        calls = cast(list[dict[str, Json]], said["calls"]) if said else []
        return [
            ToolCall(str(place), str(one["tool"]), cast(dict[str, Json], one.get("arguments") or {}))
            for place, one in enumerate(calls)
        ]

    return attempt


def save(fitted: Fitted, folder: Path) -> None:
    """As JSON: a few numbers, readable by people."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({name: getattr(fitted, name) for name in Fitted.__slots__}, indent=1)
    (folder / CARD).write_text(f"{text}\n", encoding="utf-8")


def load(folder: Path, encoder: str) -> Fitted:
    """A classifier for an encoder generation. Raises BadInput on another one, or where there is none."""
    try:
        fitted = from_json(Fitted, json.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError, BadInput) as error:
        raise BadInput(
            f"{str(folder)!r} holds no classifier ({error}): fit one with `python -m distill.consistency`"
        ) from error
    if (fitted.format, fitted.encoder) != (FORMAT, encoder):
        raise BadInput(
            f"the classifier in {str(folder)!r} is of format {fitted.format} and encoder {fitted.encoder!r};"
            f" needed are {FORMAT} and {encoder!r}: fit it again"
        )
    return fitted


def _plan_schema(names: Sequence[str]) -> dict[str, Json]:
    call: dict[str, Json] = {
        "type": "object",
        "properties": {"tool": {"enum": list(names)}, "arguments": {"type": "object"}},
        "required": ["tool"],
    }
    return {
        "type": "object",
        "properties": {"calls": {"type": "array", "items": call}},
        "required": ["calls"],
    }
