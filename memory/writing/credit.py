"""What the façade does to episodes inside one transaction: record, give feedback, credit items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from memory.author import Author
from memory.entry import RECALLABLE, Vector
from memory.errors import Conflict
from memory.modes import USES
from memory.store.reader import Credit
from memory.store.writer import Writer
from memory.types import (
    GLOBAL,
    Episode,
    Item,
    Json,
    Lift,
    Message,
    Outcome,
    Recalled,
    RecallRecord,
    ToolSpec,
    Usage,
    Utility,
    shown_too,
)
from memory.value.lift import LONGEST, lift_of
from memory.value.means import PRIOR_N, held_out, revalued, reward_of, shown, withdrawn
from memory.value.outcomes import outranks
from memory.writing.quarantine import without_harm
from memory.writing.redaction import without_secrets
from memory.writing.stepping import keep_steps

NEWEST = 64
"""Episodes of a family whose mean says what was to be expected."""


@dataclass(frozen=True, slots=True)
class Word:
    """Late feedback on an episode; None leaves a field as it is, values are added."""

    reward: float | None
    outcome: Outcome | None
    values: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class More:
    """What an episode goes on with."""

    messages: tuple[Message, ...]
    usage: Usage = field(default_factory=Usage)
    steps: int = 0
    reminder: RecallRecord | None = None
    """What memory was asked on the way, and said."""
    error: str | None = None
    """Why it ended early, where it did."""
    tools: tuple[ToolSpec, ...] = ()
    """What the model was told it could call."""


def record(writer: Writer, episode: Episode, vector: Vector | None, principal: str, at: float) -> None:
    """Keep an episode. The same one again changes nothing; one that goes on from it takes its place.

    One that was forgotten stays so, whatever comes.

    Raises Conflict on another one of the same id.
    """
    kept = writer.find_episode(episode.namespace, episode.id)
    if kept is None:
        writer.add_episode(episode, vector, principal, at)
        return
    if kept.forgotten is not None:
        return
    # A task resumed after a crash may report the same episode with other clock times.
    if (kept.task_id, kept.messages) == (episode.task_id, episode.messages):
        return
    if not _goes_on(kept, episode):
        raise Conflict(f"episode {episode.id!r} was recorded with other messages: give this one its own id")
    grown = replace(episode, feedback={**kept.feedback, **episode.feedback})
    writer.change_episode(kept, grown, principal, at)


def extend(
    writer: Writer,
    author: Author,
    episode_id: str,
    say: Callable[[Episode], More],
    first: tuple[Episode, Vector | None] | None,
) -> Episode:
    """The episode with what `say` makes of it behind; one that was forgotten stays as it is.

    `first` is the episode where there is none yet. Raises NotFound where there is none of either.
    """
    kept = writer.find_episode(author.namespace, episode_id)
    if kept is None and first is not None:
        begun, vector = first
        writer.add_episode(begun, vector, author.principal, author.at)
        return begun
    kept = kept or writer.episode(author.namespace, episode_id)
    if kept.forgotten is not None:
        return kept
    more = say(kept)
    said = without_secrets(replace(kept, messages=more.messages, error=more.error, tools=more.tools))
    grown = replace(
        kept,
        messages=(*kept.messages, *said.messages),
        usage=kept.usage + more.usage,
        steps=kept.steps + more.steps,
        reminders=(*kept.reminders, *filter(None, [more.reminder])),
        error=said.error,
        tools=shown_too(kept.tools, said.tools),
        ended_at=max(kept.ended_at, author.at),
    )
    writer.change_episode(kept, grown, author.principal, author.at)
    return grown


def _goes_on(kept: Episode, episode: Episode) -> bool:
    """A chat's next turn, or a cancelled task that was resumed: the same messages, then more."""
    said = tuple(replace(message, ok=None) for message in kept.messages)
    now = tuple(replace(message, ok=None) for message in episode.messages[: len(said)])
    return kept.task_id == episode.task_id and len(episode.messages) > len(said) and now == said


def feedback(writer: Writer, author: Author, episode_id: str, word: Word) -> Episode:
    """The episode with the word added, and what it gave to items re-valued.

    What those say who are believed before a human is not changed but by operators; dissent is kept as
    `disputed`. A human's later word takes the place of an earlier one.
    """
    before = writer.episode(author.namespace, episode_id)
    if outranks(before.outcome_by, "human") and author.channel != "operator":
        word = _disputed(before, word)
    after = replace(
        before,
        reward=before.reward if word.reward is None else word.reward,
        outcome=before.outcome if word.outcome is None else word.outcome,
        outcome_by=before.outcome_by if word.outcome is None else "human",
        feedback={**before.feedback, **word.values},
    )
    if after != before:
        writer.change_episode(before, after, author.principal, author.at)
    credit(writer, after, author.principal, author.at)
    return after


def _disputed(before: Episode, word: Word) -> Word:
    said: dict[str, Json] = {"outcome": word.outcome, "reward": word.reward}
    known: dict[str, Json] = {"outcome": before.outcome, "reward": before.reward}
    dissent: dict[str, Json] = {
        name: value for name, value in said.items() if value is not None and value != known[name]
    }
    values: dict[str, Json] = {"disputed": dissent} if dissent else {}
    return Word(None, None, {**word.values, **values})


def credit(writer: Writer, episode: Episode, principal: str, at: float) -> None:
    """Make the statistics of all items the episode had in view say what its outcome says now.

    Idempotent: what the episode added before is replaced. A stored episode, with its later feedback, goes
    before the argument. Items whose lift is credibly negative then are quarantined.
    """
    episode = writer.find_episode(episode.namespace, episode.id) or episode
    keep_steps(writer, episode)
    if not USES[episode.mode].credits:
        return
    reward = reward_of(episode)
    added = writer.credits(episode.namespace, episode.id)
    decided = _decided(episode)
    start = _start(writer, episode, decided, added)
    for item_id, one in sorted(decided.items()):
        item, old = writer.find(episode.namespace, item_id), added.get(item_id)
        if item is None or (None if old is None else old.reward) == reward:
            continue
        utility = _credited(item.utility, old, reward, one.shown, at)
        if reward is None:
            writer.drop_credit(episode.namespace, episode.id, item_id)
        else:
            row = replace(old, reward=reward) if old else start.credit(item, one, reward, utility)
            writer.put_credit(episode.namespace, episode.id, row)
        if one.propensity < 1.0:
            test = _test(item) if old is None else _now(item)
            utility = replace(utility, lift=_lift(writer, item, test))
        writer.set_utility(item, utility, principal, at)
        without_harm(writer, replace(item, utility=utility), principal, at)


def fetched(writer: Writer, author: Author, item_id: str, *, counts: bool) -> Item | None:
    """The item, counted as read on demand where that counts; None where it is gone or not to be shown."""
    item = writer.find(author.namespace, item_id) or writer.find(GLOBAL, item_id)
    if item is None or item.status not in RECALLABLE:
        return None
    if not counts or item.namespace != author.namespace:
        return item
    utility = replace(item.utility, fetched=item.utility.fetched + 1)
    writer.set_utility(item, utility, author.principal, author.at)
    return replace(item, utility=utility)


@dataclass(frozen=True, slots=True)
class _Start:
    """What was known before an episode."""

    seq: int
    centre: float

    def credit(self, item: Item, one: Recalled, reward: float, utility: Utility) -> Credit:
        place = utility.n if one.shown else 0
        centre = self.centre if one.propensity < 1.0 else 0.5
        return Credit(item.id, one.shown, place, reward, one.propensity, centre, self.seq, _test(item))


def _start(
    writer: Writer, episode: Episode, decided: Mapping[str, Recalled], added: Mapping[str, Credit]
) -> _Start:
    """Mean reward of the family's episodes before, drawn to one half: whatever it is, no lift leans on it."""
    seq = writer.position(episode.namespace, episode.id)
    if seq is None:
        seq = writer.head(episode.namespace) + 1
    if all(one.propensity == 1.0 or one.item in added for one in decided.values()):
        return _Start(seq, 0.5)
    rewards = writer.rewards(episode.namespace, episode.family, seq, NEWEST)
    return _Start(seq, (0.5 * PRIOR_N + sum(rewards)) / (PRIOR_N + len(rewards)))


def _decided(episode: Episode) -> dict[str, Recalled]:
    """Items and principles that were shown, or held out by a coin; the first word of an episode counts.

    A later recall may show what the first held out, or the other way round; the coin that was tossed before
    anything had happened is the one that splits episodes into like groups.
    """
    decided: dict[str, Recalled] = {}
    for record in filter(None, (episode.recall, *episode.reminders)):
        for one in (*record.items, *_principles(record)):
            is_drawn = one.shown or one.propensity < 1.0
            if is_drawn and one.propensity > 0.0:
                decided.setdefault(one.item, one)
    return decided


def _principles(record: RecallRecord) -> tuple[Recalled, ...]:
    drawn = {one.item for one in record.principles}
    named = (name.rpartition("@") for name in record.constitution)
    return (
        *record.principles,
        *(Recalled(id_, 0, 0.0, 1.0, True) for id_, _, _ in named if id_ not in drawn),
    )


def _now(item: Item) -> int:
    return 0 if item.utility.lift is None else item.utility.lift.test


def _test(item: Item) -> int:
    """The test that a new episode belongs to."""
    lift = item.utility.lift
    return _now(item) + (lift is not None and lift.n >= LONGEST)


def _lift(writer: Writer, item: Item, test: int) -> Lift | None:
    tosses = writer.tosses(item.namespace, item.id, test, LONGEST)
    return lift_of(tosses, test) if tosses or test else None


def _credited(
    utility: Utility, old: Credit | None, reward: float | None, was_shown: bool, at: float
) -> Utility:
    if old is None:
        if reward is None:
            return utility
        return shown(utility, reward, at) if was_shown else held_out(utility, reward)
    if reward is None:
        return withdrawn(utility, old.place, old.reward)
    return revalued(utility, old.place, old.reward, reward)
