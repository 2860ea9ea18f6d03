"""What an episode's own log shows without any model: right and wrong steps, preconditions, stated rules.

Source: the symbolic builder of OmniReflect (arXiv 2506.17449) is not published in detail; this is a
reconstruction by counters: loops, refused actions, wasted visits, A-before-B, rules told by the world.
Pure, and blind to any world's nouns.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agent.prompt import Lesson
from agent.words import content_words, sentences
from memory.types import Draft, Episode, Evidence, Lineage, Message, PrincipleBody, ToolCall

_LOOP = 3
"""The same command with the same answer for the third time is a loop, whatever lay between."""
_PREPOSITIONS = ("with", "in", "into", "on", "from", "at", "to", "under")


@dataclass(frozen=True, slots=True)
class MineSettings:
    """What counts as a pattern."""

    rule_marker: str = "you broke a house rule: "
    """What a world says before it states a rule that was broken."""
    precondition: str = "{first} before you {then}."
    """How an order of two commands is put into words."""
    min_support: int = 2
    """Episodes that must show an order of commands."""
    min_confidence: float = 0.8
    """Share of attempts that must agree with it."""
    max_facts: int = 3
    """Facts mined from one episode."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call and its answer."""

    act: int
    """Index of the message that made the call."""
    observe: int | None
    command: str
    answer: str
    ok: bool | None
    is_text: bool
    """Is it a command in words, rather than a call with named arguments?"""

    @property
    def verb(self) -> str:
        """What kind of action it is: the first word of a command, or the tool."""
        return self.command.partition(" ")[0]

    @property
    def argument(self) -> str:
        """What it is done to, without a leading preposition."""
        words = self.command.split()[1:]
        return " ".join(words[1:] if words and words[0] in _PREPOSITIONS else words)


def command_of(call: ToolCall) -> str:
    """A call in one line: the command of a text world, else the tool and its arguments as JSON."""
    if set(call.arguments) == {"command"}:
        return str(call.arguments["command"])
    return f"{call.name} {json.dumps(call.arguments, sort_keys=True)}"


def steps(episode: Episode) -> tuple[Step, ...]:
    """The calls of an episode in order, each with its answer."""
    answers = {
        m.tool_call_id: i for i, m in enumerate(episode.messages) if m.role == "tool" and m.tool_call_id
    }
    found = []
    for index, message in enumerate(episode.messages):
        for call in message.tool_calls:
            at = answers.get(call.id)
            told = Message("tool") if at is None else episode.messages[at]
            is_text = set(call.arguments) == {"command"}
            found.append(Step(index, at, command_of(call), told.text, told.ok, is_text))
    return tuple(found)


def verdicts(episode: Episode) -> Episode:
    """The episode with `ok` on its act messages: False for a wrong step, True in a success, else None.

    Wrong: the answer was a refusal; the same command got the same answer again with only commands of
    its kind between, or for the third time. Wasted (in a success of a text world): a visit directly
    followed by another of the same kind, to something no later command of another kind names.
    What was already judged stays.
    """
    taken = steps(episode)
    wrong = {s.act for i, s in enumerate(taken) if s.ok is False or _is_loop(taken, i)}
    if episode.outcome == "success":
        wrong |= {s.act for i, s in enumerate(taken) if _is_wasted(taken, i)}
    good = {s.act for s in taken} - wrong if episode.outcome == "success" else set()
    judged = {**dict.fromkeys(wrong, False), **dict.fromkeys(good, True)}
    return replace(
        episode,
        messages=tuple(
            replace(m, ok=judged[i]) if m.ok is None and i in judged else m
            for i, m in enumerate(episode.messages)
        ),
    )


def cause(episode: Episode, settings: MineSettings | None = None) -> str | None:
    """Why a failure failed: the rule it broke, the limit it hit, or the world's last words."""
    if episode.outcome != "failure":
        return None
    broken = [lesson.text for lesson in _stated_rules(episode, settings or MineSettings())]
    if broken:
        return broken[-1]
    observed = [m.text for m in episode.messages if m.kind == "observe" and m.text]
    return episode.error or (observed[-1] if observed else None)


def lessons(episode: Episode, settings: MineSettings | None = None) -> tuple[Lesson, ...]:
    """Rules the world stated, and sentences it said that a later successful command made use of."""
    settings = settings or MineSettings()
    return (*_stated_rules(episode, settings), *_used_facts(episode, settings))


def principles(episodes: Sequence[Episode], settings: MineSettings | None = None) -> tuple[Draft, ...]:
    """Rules stated in, and orders of commands common to, episodes of one or several families."""
    settings = settings or MineSettings()
    learnable = [e for e in episodes if e.outcome in {"success", "failure"}]
    drafts: list[Draft] = []
    for family in dict.fromkeys(e.family for e in learnable):
        own = [e for e in learnable if e.family == family]
        stated = [lesson for e in own for lesson in _stated_rules(e, settings)]
        for text in dict.fromkeys(lesson.text for lesson in stated):
            seen = [lesson.evidence[0] for lesson in stated if lesson.text == text]
            drafts.append(principle(text, family, tuple(seen)))
        drafts.extend(_orders(own, family, settings))
    return tuple(drafts)


def principle(text: str, family: str, evidence: tuple[Evidence, ...], violations: int = 0) -> Draft:
    """A principle of a family that counters found; it starts on trial."""
    support = len({e.episode for e in evidence})
    return Draft(
        "principle",
        text,
        PrincipleBody("family", "symbolic", support, violations),
        scope="family",
        family=family,
        status="trial",
        lineage=Lineage(evidence),
    )


def _is_loop(taken: Sequence[Step], index: int) -> bool:
    step = taken[index]
    same = [i for i in range(index) if (taken[i].command, taken[i].answer) == (step.command, step.answer)]
    if not same:
        return False
    between = taken[same[-1] + 1 : index]
    return len(same) + 1 >= _LOOP or all(s.verb == step.verb for s in between)


def _is_wasted(taken: Sequence[Step], index: int) -> bool:
    step, later = taken[index], taken[index + 1 :]
    if not later or not step.is_text or not step.argument:
        return False
    moved_on = later[0].verb == step.verb and later[0].argument != step.argument
    return moved_on and not any(s.verb != step.verb and step.argument in s.command for s in later)


def _stated_rules(episode: Episode, settings: MineSettings) -> tuple[Lesson, ...]:
    found = []
    for index, message in enumerate(episode.messages):
        _, marker, after = message.text.partition(settings.rule_marker)
        if message.kind == "observe" and marker and sentences(after):
            rule = f"{sentences(after)[0]}."
            found.append(Lesson(rule, "rule", (Evidence(episode.id, index),)))
    return tuple(found)


def _used_facts(episode: Episode, settings: MineSettings) -> tuple[Lesson, ...]:
    """For each change to another kind of action, the sentence on the task's things that led to it."""
    taken = steps(episode)
    facts: dict[str, Lesson] = {}
    for number, step in enumerate(taken):
        if number == 0 or taken[number - 1].verb == step.verb:
            continue
        best = max(_said_before(episode, step), default=None)
        if best is not None:
            _, index, sentence = best
            facts.setdefault(sentence, Lesson(f"{sentence}.", "fact", (Evidence(episode.id, index),)))
    return tuple(facts.values())[: settings.max_facts]


def _said_before(episode: Episode, step: Step) -> Iterator[tuple[int, int, str]]:
    """Sentences observed before a step that share words with the task, and two or more with the command."""
    wanted, asked = set(content_words(step.command)), set(content_words(episode.task))
    for index, message in enumerate(episode.messages[: step.act]):
        if message.kind != "observe" or message.ok is False:
            continue
        for sentence in sentences(message.text):
            said = set(content_words(sentence))
            if len(wanted & said) >= 2 and asked & said:
                yield len(wanted & said), index, sentence


def _forms(command: str) -> tuple[str, ...]:
    """A command, and the same without its first object: `heat egg with stove 2`, `heat with stove 2`."""
    words = command.split()
    cuts = [i for i, word in enumerate(words) if i > 1 and word in _PREPOSITIONS]
    return (command, *(" ".join([words[0], *words[cut:]]) for cut in cuts[:1]))


def _orders(episodes: Sequence[Episode], family: str, settings: MineSettings) -> Iterator[Draft]:
    """Orders A before B: B was refused, A was done, then B went through."""
    switches: dict[tuple[str, str], list[Evidence]] = {}
    for episode in episodes:
        for first, then, index in dict.fromkeys(_switches(episode)):
            switches.setdefault((first, then), []).append(Evidence(episode.id, index))
    # Most general first: an order of a longer form adds nothing to the same order of its shorter form.
    told: set[tuple[str, str]] = set()
    for (first, then), evidence in sorted(switches.items(), key=lambda entry: len(entry[0][1])):
        if len({e.episode for e in evidence}) < settings.min_support:
            continue
        agree, against = _attempts(episodes, first, then)
        is_told = any((first, form) in told for form in _forms(then))
        if is_told or agree < settings.min_confidence * (agree + against):
            continue
        told.add((first, then))
        text = settings.precondition.format(first=first, then=then)
        yield principle(text, family, tuple(evidence), against)


def _switches(episode: Episode) -> Iterator[tuple[str, str, int]]:
    """(A, form of B, message that shows B going through) for each A done between B refused and B done."""
    taken = [s for s in steps(episode) if s.is_text]
    for index, step in enumerate(taken):
        refused = [i for i in range(index) if taken[i].command == step.command and taken[i].ok is False]
        if not step.ok or not refused:
            continue
        for between in taken[refused[-1] + 1 : index]:
            if between.ok and between.verb != step.verb:
                for form in _forms(step.command):
                    yield between.command, form, step.observe or step.act


def _attempts(episodes: Sequence[Episode], first: str, then: str) -> tuple[int, int]:
    """Attempts at B that agree with A-before-B (through after A, refused without) and that do not."""
    counts: Counter[bool] = Counter()
    for episode in episodes:
        is_done = False
        for step in steps(episode):
            if then in _forms(step.command) and step.ok is not None:
                counts[step.ok == is_done] += 1
            is_done = is_done or (step.command == first and bool(step.ok))
    return counts[True], counts[False]
