"""What the façade does to episodes inside one transaction: record, give feedback, credit items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from memory.author import Author
from memory.entry import Vector
from memory.errors import Conflict
from memory.store.reader import Credit
from memory.store.writer import Writer
from memory.types import Episode, Json, Outcome, Utility
from memory.value.means import held_out, revalued, reward_of, shown, withdrawn


@dataclass(frozen=True, slots=True)
class Word:
    """Late feedback on an episode; None leaves a field as it is, values are added."""

    reward: float | None
    outcome: Outcome | None
    values: Mapping[str, Json]


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


def _goes_on(kept: Episode, episode: Episode) -> bool:
    """A chat's next turn, or a cancelled task that was resumed: the same messages, then more."""
    said = tuple(replace(message, ok=None) for message in kept.messages)
    now = tuple(replace(message, ok=None) for message in episode.messages[: len(said)])
    return kept.task_id == episode.task_id and len(episode.messages) > len(said) and now == said


def feedback(writer: Writer, author: Author, episode_id: str, word: Word) -> Episode:
    """The episode with the word added, and what it gave to items re-valued."""
    before = writer.episode(author.namespace, episode_id)
    after = replace(
        before,
        reward=before.reward if word.reward is None else word.reward,
        outcome=before.outcome if word.outcome is None else word.outcome,
        feedback={**before.feedback, **word.values},
    )
    if after != before:
        writer.change_episode(before, after, author.principal, author.at)
    credit(writer, after, author.principal, author.at)
    return after


def credit(writer: Writer, episode: Episode, principal: str, at: float) -> None:
    """Make the statistics of all items the episode had in view say what its outcome says now.

    Idempotent: what the episode added before is replaced. A stored episode, with its later feedback, goes
    before the argument.
    """
    episode = writer.find_episode(episode.namespace, episode.id) or episode
    reward = reward_of(episode)
    added = writer.credits(episode.namespace, episode.id)
    for item_id, was_shown in sorted(_in_view(episode).items()):
        item = writer.find(episode.namespace, item_id)
        if item is None:
            continue
        old = added.get(item_id)
        utility = _credited(item.utility, old, reward, was_shown, at)
        if utility == item.utility:
            continue
        writer.set_utility(item, utility, principal, at)
        if reward is None:
            writer.drop_credit(episode.namespace, episode.id, item_id)
        else:
            place = old.place if old else utility.n if was_shown else 0
            writer.put_credit(episode.namespace, episode.id, Credit(item_id, was_shown, place, reward))


def _in_view(episode: Episode) -> dict[str, bool]:
    """Items by whether they were shown; False only where the coin kept them out."""
    view: dict[str, bool] = {}
    for record in filter(None, (episode.recall, *episode.reminders)):
        for one in record.items:
            if one.shown or one.propensity < 1.0:
                view[one.item] = view.get(one.item, False) or one.shown
        view |= {name.rpartition("@")[0]: True for name in record.constitution}
    return view


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
