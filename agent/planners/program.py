"""Programs in natural language: steps that are done, decided, or the end. Pure.

A line is `name ::: type ::: instruction ::: branches`; type is process, decision or terminal, branches are
`key::name` with `::` between them. Source: CoRE (arXiv 2405.06907); names are lower-cased there too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from memory.errors import BadInput

StepType = Literal["process", "decision", "terminal"]
_FIELDS, _BRANCHES = ":::", "::"
_LINE = "give `name ::: process|decision|terminal ::: instruction ::: key::name`"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a program."""

    name: str
    type: StepType
    instruction: str
    branches: tuple[tuple[str, str], ...] = ()
    """Answers and the steps they lead to."""


@dataclass(frozen=True, slots=True)
class Program:
    """Steps, the first of which it begins with."""

    steps: tuple[Step, ...]

    def __getitem__(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    @property
    def text(self) -> str:
        """As `parse` reads it."""
        return "\n".join(map(_line, self.steps))


def parse(text: str) -> Program:
    r"""A program.

    >>> program = parse("look ::: process ::: Find it. ::: next::end\nend ::: terminal ::: Say where.")
    >>> program.steps[0].branches
    (('next', 'end'),)

    Raises BadInput on a line that is none, on names twice or nowhere, and where nothing ends.
    """
    lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    steps = tuple(_step(number, line) for number, line in lines)
    names = [step.name for step in steps]
    if not steps:
        raise BadInput(f"a program needs steps: {_LINE}, one a line")
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadInput(f"two steps are called {twice[0]!r}: give each a name of its own")
    for step in steps:
        for key, then in step.branches:
            if then not in names:
                raise BadInput(f"{key!r} of step {step.name!r} leads to {then!r}, which is no step: add it")
    if not any(step.type == "terminal" for step in steps):
        raise BadInput("the program has no end: add a step of type terminal")
    return Program(steps)


def _step(number: int, line: str) -> Step:
    parts = [part.strip() for part in line.split(_FIELDS)]
    if len(parts) not in {3, 4} or not all(parts[:3]):
        raise BadInput(f"line {number}, {line!r}, is no step: {_LINE}")
    name, kind, instruction = parts[0].lower(), parts[1].lower(), parts[2]
    if kind not in get_args(StepType):
        raise BadInput(f"line {number}: there is no type {parts[1]!r}, only {', '.join(get_args(StepType))}")
    branches = _read(number, parts[3]) if len(parts) == 4 and parts[3] else ()
    least, most = {"process": (1, 1), "decision": (2, None), "terminal": (0, 0)}[kind]
    if len(branches) < least or (most is not None and len(branches) > most):
        wanted = {"process": "one branch, `next::name`", "decision": "two branches or more"}
        raise BadInput(f"line {number}: a {kind} step has {wanted.get(kind, 'no branches')}")
    return Step(name, cast(StepType, kind), instruction, branches)


def _read(number: int, text: str) -> tuple[tuple[str, str], ...]:
    words = [word.strip() for word in text.split(_BRANCHES)]
    if len(words) % 2 or not all(words):
        raise BadInput(f"line {number}: {text!r} are no branches: give `key::name`, `::` between them")
    pairs = tuple(zip(words[::2], (word.lower() for word in words[1::2]), strict=True))
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise BadInput(f"line {number}: two branches have the same key: give each its own")
    return pairs


def _line(step: Step) -> str:
    branches = _BRANCHES.join(part for pair in step.branches for part in pair)
    return f" {_FIELDS} ".join([step.name, step.type, step.instruction, *filter(None, [branches])])
