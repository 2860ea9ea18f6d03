"""What the plans of several successful cases have in common, as steps with blanks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from memory.words import STOP_WORDS

Skeleton = tuple[str, ...]
"""A step with its verb and small words kept and everything else blank."""
BLANK = "_"


def skeleton(step: str) -> Skeleton:
    """The form of a step; runs of blanks are one.

    >>> skeleton("take mug 2 from shelf 1")
    ('take', '_', 'from', '_')
    """
    form: list[str] = []
    for word, _ in _phrases(step):
        form.append(word)
    return tuple(form)


def likeness(one: Sequence[Skeleton], other: Sequence[Skeleton]) -> float:
    """Share of the steps that two plans have in common, in order, 0..1.

    >>> likeness([("go",), ("take",)], [("go",), ("look",), ("take",)])
    0.8
    """
    total = len(one) + len(other)
    return 2 * len(common(one, other)) / total if total else 0.0


def common(one: Sequence[Skeleton], other: Sequence[Skeleton]) -> list[Skeleton]:
    """A longest common subsequence."""
    lengths = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, left in enumerate(one):
        for j, right in enumerate(other):
            same = left == right
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if same else max(lengths[i][j + 1], lengths[i + 1][j])
    found: list[Skeleton] = []
    i, j = len(one), len(other)
    while i and j:
        if one[i - 1] == other[j - 1]:
            found.append(one[i - 1])
            i, j = i - 1, j - 1
        elif lengths[i - 1][j] >= lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return found[::-1]


def common_steps(plans: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The steps that all plans share in order, with letters for what differs: one letter for one thing.

    >>> common_steps([["go to shelf 1", "take mug 2"], ["go to bed 3", "look", "take cup 1"]])
    ('go to {A}', 'take {B}')
    """
    forms = [[skeleton(step) for step in plan] for plan in plans]
    shared: list[Skeleton] = list(forms[0])
    for form in forms[1:]:
        shared = common(shared, form)
    aligned = [_aligned(plan, form, shared) for plan, form in zip(plans, forms, strict=True)]
    letters: dict[tuple[str, ...], str] = {}
    return tuple(_filled([steps[place] for steps in aligned], letters) for place in range(len(shared)))


def _aligned(plan: Sequence[str], form: Sequence[Skeleton], shared: Sequence[Skeleton]) -> list[str]:
    """The steps of a plan that stand for the shared ones, each as early as it can."""
    found: list[str] = []
    for step, one in zip(plan, form, strict=True):
        if len(found) < len(shared) and one == shared[len(found)]:
            found.append(step)
    return found


def _filled(steps: Sequence[str], letters: dict[tuple[str, ...], str]) -> str:
    """One step out of several of the same form."""
    parts = [_phrases(step) for step in steps]
    text: list[str] = []
    for place, (word, said) in enumerate(parts[0]):
        values = tuple(part[place][1] for part in parts)
        if word != BLANK or len(set(values)) == 1:
            text.append(said)
        else:
            text.append(letters.setdefault(values, f"{{{_letter(len(letters))}}}"))
    return " ".join(text)


def _letter(number: int) -> str:
    return chr(ord("A") + number % 26) * (1 + number // 26)


def _phrases(step: str) -> list[tuple[str, str]]:
    """(word or BLANK, what was said) of the verb, the small words and the runs between them."""
    found: list[tuple[str, str]] = []
    for place, said in enumerate(step.split()):
        word = said.casefold()
        if place == 0 or word in STOP_WORDS:
            found.append((word, said))
        elif found[-1][0] == BLANK:
            found[-1] = (BLANK, f"{found[-1][1]} {said}")
        else:
            found.append((BLANK, said))
    return found
