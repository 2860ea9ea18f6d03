"""Recorded attempts of other systems become episodes and, where they succeeded, cases.

A case is made by rule: the task as it was put, the actions as they were done, no lesson, for nobody drew one.
Failures become episodes alone: without a stated cause a failure is never shown. Everything is marked with its
source, `import:<format>:<hash of the file>`, by which it can be revoked; ids follow from the content, so the
same file again, or another one with the same records, adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from memory.author import Author
from memory.codec import dumps
from memory.errors import BadInput
from memory.moving.importers.formats import importer
from memory.moving.importers.records import Attempt, Found
from memory.moving.intake import Counting, ImportReport, pages
from memory.moving.transfer import adding_episodes
from memory.store.engine import Store
from memory.types import CaseBody, Draft, Episode, Evidence, Item, Lineage, Outcome
from memory.writing.admission import check_draft
from memory.writing.redaction import without_secrets
from memory.writing.secrets import redacted

AT_ONCE = 64
MAX_TASK = 4_000
"""Characters of a task in the text that is embedded."""

Remember = Callable[[Sequence[Draft], Sequence[str]], tuple[Item, ...]]
"""Drafts and the ids they get when they are new → items, as `Memory.remember` does."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be taken."""

    format: str
    family: str | None = None
    """What its experience is shared within; None: items hold everywhere, episodes belong to their world."""
    outcome: Outcome = "unknown"
    """What the caller says of attempts the file itself says nothing about."""


def take_log(store: Store, remember: Remember, author: Author, data: bytes, how: Reading) -> ImportReport:
    """Take in a file; bad records are reported. Raises BadInput when the whole is of another format."""
    source = f"import:{how.format}:{sha256(data).hexdigest()[:16]}"
    counting = Counting(source)
    for page in pages(importer(how.format)(data), AT_ONCE):
        episodes: dict[str, Episode] = {}
        drafts: dict[str, tuple[int, Draft]] = {}
        for record in page:
            if not isinstance(record, Found):
                counting.refuse(record.file, record.line, record.reason)
                continue
            try:
                episode, draft = _read(record, author, how, source)
            except BadInput as error:
                counting.refuse("", record.line, error)
                continue
            if episode is not None:
                episodes[episode.id] = episode
            if draft is not None:
                name = _id(dumps(replace(draft, lineage=Lineage())), author.namespace)
                drafts[name] = (record.line, draft)
        counting.episodes += store.write(adding_episodes(list(episodes.values()), author))
        _remember(store, remember, author, drafts, counting)
    return counting.report()


def episode_of(attempt: Attempt, author: Author, how: Reading, source: str) -> Episode:
    """An attempt as an episode of the author's namespace."""
    world = attempt.world
    task_id = f"{world}-{_id(world, attempt.task_key or attempt.task)[:16]}"
    outcome = how.outcome if attempt.outcome == "unknown" else attempt.outcome
    return Episode(
        id=_id(how.format, task_id, attempt.trial, dumps(attempt.messages)),
        namespace=author.namespace,
        task_id=task_id,
        task=attempt.task,
        world=world,
        family=how.family or world,
        group=task_id,
        messages=attempt.messages,
        outcome=outcome,
        reward=attempt.reward,
        model=attempt.model,
        usage=attempt.usage,
        steps=len(attempt.actions),
        error=attempt.error,
        principal=author.principal,
        channel=author.channel,
        source=source,
    )


def case_of(episode: Episode, actions: Sequence[str], family: str | None) -> Draft | None:
    """What a success is remembered as; None for anything else and where nothing was done."""
    if episode.outcome != "success" or not actions:
        return None
    task = episode.task[:MAX_TASK]
    return Draft(
        "case",
        f"{family}: {task}" if family else task,
        CaseBody(task, tuple(actions), "", steps=episode.steps),
        scope="family" if family else "namespace",
        family=family,
        outcome="success",
        lineage=Lineage((Evidence(episode.id, len(episode.messages) - 1),), source=episode.source),
    )


def _read(record: Found, author: Author, how: Reading, source: str) -> tuple[Episode | None, Draft | None]:
    """What a record becomes, secrets blotted out. Raises BadInput on what drafts are refused for."""
    thing = record.thing
    if isinstance(thing, Draft):
        draft: Draft | None = replace(
            thing,
            scope="family" if how.family else "namespace",
            family=how.family,
            lineage=Lineage(source=source),
        )
        episode = None
    else:
        _check_decodable(dumps(thing))
        episode = without_secrets(episode_of(thing, author, how, source))
        draft = case_of(episode, [redacted(action) for action in thing.actions], how.family)
    if draft is not None:
        check_draft(draft)
    return episode, draft


def _check_decodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"the text holds a lone surrogate: decode it first ({error.reason})") from error


def _remember(
    store: Store,
    remember: Remember,
    author: Author,
    drafts: Mapping[str, tuple[int, Draft]],
    counting: Counting,
) -> None:
    """Drafts by id, with their lines: all at once, or one by one where memory refuses one of them."""
    with store.read() as reader:
        there = reader.items_by_id(author.namespace, list(drafts))
    fresh = {id_: one for id_, one in drafts.items() if id_ not in there}
    counting.present += len(there)
    if not fresh:
        return
    try:
        _count(remember([draft for _, draft in fresh.values()], list(fresh)), list(fresh), counting)
    except BadInput:
        for id_, (line, draft) in fresh.items():
            try:
                _count(remember([draft], [id_]), [id_], counting)
            except BadInput as error:
                counting.refuse("", line, error)


def _count(items: Sequence[Item], ids: Sequence[str], counting: Counting) -> None:
    added = sum(item.id == id_ for item, id_ in zip(items, ids, strict=True))
    counting.added += added
    counting.present += len(items) - added


def _id(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:32]
