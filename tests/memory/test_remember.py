"""What gets in, what is taken for the same, what is refused, and how far it is trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest

from memory.core import Memory
from memory.errors import BadInput, Conflict, TooLarge
from memory.types import Channel, Draft, Evidence, Lineage, NoteBody, PrincipleBody, ProcedureBody

Saying = Any
"""The `Say` helper of conftest."""


def test_a_remembered_item_says_what_was_drafted(say: Saying) -> None:
    """Memory adds id, version, trust, author and time; the rest is as it came."""
    draft = say.case("the mug is in cabinet 3", family="maple 7")
    (item,) = say.remember(draft)
    assert say.memory.get("home", item.id) == item
    assert (item.version, item.trust, item.channel, item.author) == (1, 3, "user", "ada")
    assert (item.created_at, item.valid_from) == (1_000.0, 1_000.0)
    assert (item.text, item.body, item.family, item.scope) == (draft.text, draft.body, "maple 7", "family")


def test_the_same_words_are_the_same_item(say: Saying) -> None:
    """Case, spacing and punctuation do not make a second item; nothing is written for the second call."""
    (first,) = say.remember(say.case("The mug is in cabinet 3."))
    (again,) = say.remember(say.case("the  mug is in cabinet 3"))
    assert again == first
    assert len(say.memory.history("home", first.id)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"text": "the mug is in cabinet 4"},
        {"outcome": "failure", "cause": "it was locked"},
        {"lesson": "cabinet 3 is locked"},
        {"family": "maple 7"},
    ],
)
def test_what_differs_in_what_it_says_stays_apart(say: Saying, change: dict[str, str]) -> None:
    """Another number, outcome, lesson or family is another memory, however near the vectors are."""
    said = {"text": "the mug is in cabinet 3", "lesson": "look there first"}
    first, second = say.remember(say.case(**said), say.case(**(said | change)))
    assert first.id != second.id


def test_nearly_the_same_words_are_the_same_item(say: Saying) -> None:
    """With equal vectors, numbers, outcome and lesson the second text adds only its evidence."""
    (first,) = say.remember(
        say.case("mug in the cabinet 3", lesson="look there", evidence=(Evidence("e1", 0),))
    )
    (again,) = say.remember(
        say.case("a mug is in cabinet 3", lesson="look there", evidence=(Evidence("e2", 4),))
    )
    assert again.id == first.id
    assert again.text == "mug in the cabinet 3"
    assert again.lineage.evidence == (Evidence("e1", 0), Evidence("e2", 4))
    assert again.version == 2


def test_a_principle_seen_again_gains_support_once_per_evidence(say: Saying) -> None:
    """A retry with the same evidence changes nothing."""
    rule = "open the fridge before taking from it"
    (first,) = say.remember(say.principle(rule, evidence=(Evidence("e1", 2),)))
    (second,) = say.remember(say.principle(rule, evidence=(Evidence("e2", 5),)))
    (third,) = say.remember(say.principle(rule, evidence=(Evidence("e2", 5),)))
    assert first.id == second.id
    assert isinstance(second.body, PrincipleBody)
    assert second.body.support == 2
    assert third == second


def test_what_is_counted_again_adds_up_and_its_share_is_the_latest(say: Saying) -> None:
    """Support and violations grow by what is new; of a share of occasions the newest count stands."""

    def counted(episode: str, violations: int, share: float | None, pattern: str) -> PrincipleBody:
        say.memory.record(say.episode(episode), principal="ada")
        body = PrincipleBody("family", "symbolic", 1, violations, share, pattern)
        draft = Draft("principle", "look first.", body, lineage=Lineage((Evidence(episode, 0),)))
        (item,) = say.memory.remember("home", [draft], principal="ada", channel="reflection")
        return item.body

    assert counted("e1", 0, None, "") == PrincipleBody("family", "symbolic", 1)
    assert counted("e2", 2, 0.5, "loop") == PrincipleBody("family", "symbolic", 2, 2, 0.5, "loop")
    assert counted("e3", 0, 0.75, "dead") == PrincipleBody("family", "symbolic", 3, 2, 0.75, "loop")
    assert counted("e4", 1, None, "") == PrincipleBody("family", "symbolic", 4, 3, 0.75, "loop")


def test_an_episode_counts_once_for_and_once_against(say: Saying) -> None:
    """However often, in whatever company and with whatever messages of it memory is told."""
    for number in range(4):
        say.memory.record(say.episode(f"e{number}"), principal="ada")

    def told(seen: list[Evidence], against: list[Evidence]) -> tuple[int, int]:
        body = PrincipleBody("family", "symbolic", len(seen), len(against), 0.5, "loop", tuple(against))
        draft = Draft("principle", "look first.", body, lineage=Lineage(tuple(seen)))
        (item,) = say.memory.remember("home", [draft], principal="ada", channel="reflection")
        return item.body.support, item.body.violations

    one, two, three, four = (Evidence(f"e{number}", 0) for number in range(4))
    assert told([one, two], []) == (2, 0)
    assert told([one, two], [three]) == (2, 1)
    assert told([two], [three]) == (2, 1)
    assert told([one, two, Evidence("e1", 1)], [three, Evidence("e2", 1), four]) == (2, 2)
    assert told([four, one], [four]) == (3, 2)


def test_what_comes_from_outside_adds_no_weight(say: Saying) -> None:
    """A web page that repeats a principle does not support it."""
    (first,) = say.remember(say.principle("wipe the table", evidence=(Evidence("e1", 2),)))
    draft = say.principle("wipe the table", evidence=(Evidence("e2", 2),))
    (again,) = say.memory.remember("home", [draft], principal="web", channel="external")
    assert again == first


def test_a_forgotten_or_expired_item_is_no_duplicate(say: Saying, clock: Any) -> None:
    """What is learnt again after that is remembered anew."""
    (first,) = say.remember(say.case("the mug is in cabinet 3"))
    say.memory.forget("home", first.id, principal="ada")
    (second,) = say.remember(say.case("the mug is in cabinet 3", valid_to=1_010.0))
    clock.now = 1_020.0
    (third,) = say.remember(say.case("the mug is in cabinet 3"))
    assert len({first.id, second.id, third.id}) == 3


def test_two_threads_with_the_same_draft_make_one_item(say: Saying) -> None:
    """Exact duplicates are found inside the transaction."""
    ids: list[str] = []
    threads = [
        Thread(target=lambda: ids.append(say.remember(say.case("the mug is in cabinet 3"))[0].id))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1


def test_a_retry_with_its_key_gets_the_same_answer(memory: Memory, say: Saying) -> None:
    """The same key with another request is a conflict; in another namespace it is another key."""
    drafts = [say.case("the mug is in cabinet 3"), say.case("the pan is in cabinet 4")]

    def remember(drafts: list[Draft], namespace: str = "home") -> tuple[str, ...]:
        items = memory.remember(
            namespace, drafts, principal="ada", channel="user", idempotency_key="request-1"
        )
        return tuple(item.id for item in items)

    first = remember(drafts)
    memory.forget("home", first[0], principal="ada")
    assert remember(drafts) == first
    with pytest.raises(Conflict, match="'request-1' was used for another request"):
        remember(drafts[:1])
    assert remember(drafts[:1], "elsewhere") != first[:1]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("AWS Access Key", "use the key AKIA" + "IOSFODNN7EXAMPLQ to log in"),
        ("GitHub Token", "token ghp_" + "a1B2c3D4e5" * 3 + "a1B2c3"),
        ("Private Key", "-----BEGIN RSA PRIVATE" + " KEY-----\nabc"),
        ("Basic Auth Credentials", "open https://ada:" + "hunter22@example.org/"),
        ("Slack Token", "xoxb" + "-1234567890-abcdefghij"),
    ],
)
def test_secrets_are_refused_without_being_repeated(say: Saying, kind: str, text: str) -> None:
    """In the text or in the body; the error names the kind alone."""
    for draft in (say.case(text), say.case("how to log in", lesson=text)):
        with pytest.raises(BadInput, match=kind) as refused:
            say.remember(draft)
        assert text[4:30] not in str(refused.value)
    assert say.memory.items("home") == ()


@pytest.mark.parametrize(
    "text",
    [
        "the password is asked for before the drawer opens",
        "secret: keep the fridge closed",
        "token 3 opens locker 0123456789abcdef",
        "see https://example.org/a/b?c=d and 10.0.0.1",
    ],
)
def test_ordinary_prose_is_no_secret(say: Saying, text: str) -> None:
    """Entropy and keywords alone refuse nothing."""
    assert say.remember(say.case(text))[0].text == text


def test_bad_drafts_are_refused_whole(say: Saying) -> None:
    """One bad draft in a list, and nothing of the list is remembered; messages say what was wrong."""
    good = say.case("the mug is in cabinet 3")
    note = Draft("tool_note", "about the oven", NoteBody("oven", "it is slow"))
    bad: list[tuple[Draft, str]] = [
        (replace(good, text="  "), "text of a case is empty"),
        (replace(good, outcome="unknown"), "only success and failure"),
        (replace(good, body=note.body), "a case needs a CaseBody, not a NoteBody"),
        (replace(good, scope="family"), "scope 'family' needs a family"),
        (replace(good, family=" "), "family is empty"),
        (replace(good, text="a\ud800b"), "lone surrogate"),
        (replace(note, body=NoteBody("a\x00", "b")), "NUL"),
        (replace(good, lineage=Lineage(items=("nobody",))), "names item 'nobody'"),
    ]
    for draft, message in bad:
        with pytest.raises(BadInput, match=message):
            say.remember(good, draft)
    with pytest.raises(TooLarge, match="8001 characters, at most 8000"):
        say.remember(good, replace(good, text="x" * 8001))
    with pytest.raises(TooLarge, match="of JSON"):
        say.remember(good, replace(note, body=NoteBody("s", "x" * 64_000)))
    with pytest.raises(BadInput, match="namespace is empty"):
        say.memory.remember("", [good], principal="ada", channel="user")
    assert say.memory.items("home") == ()


def test_every_kind_has_its_body(say: Saying) -> None:
    """Procedures and notes come back as what they are."""
    steps = ProcedureBody("kitchen", "boil", ("a pan",), ("fill", "heat"), ("hot!",))
    drafts = [
        Draft("procedure", "boil an egg", steps),
        Draft("tool_note", "the oven", NoteBody("oven", "slow")),
        Draft("profile", "ada", NoteBody("ada", "likes tea")),
    ]
    bodies = [say.memory.get("home", item.id).body for item in say.remember(*drafts)]
    assert bodies == [draft.body for draft in drafts]


@pytest.mark.parametrize(
    ("channel", "trust"),
    [("operator", 4), ("user", 3), ("tool", 2), ("reflection", 1), ("external", 0)],
)
def test_trust_is_that_of_the_channel(say: Saying, channel: Channel, trust: int) -> None:
    """And what is made from something is trusted no more than that."""
    (web,) = say.memory.remember("home", [say.case("heard on the web")], principal="w", channel="external")
    (own,) = say.memory.remember("home", [say.case("seen myself")], principal="a", channel=channel)
    drafts = [
        replace(say.case("made from both"), lineage=Lineage(items=(own.id, web.id))),
        replace(say.case("made from my own"), lineage=Lineage(items=(own.id,))),
    ]
    both, mine = say.memory.remember("home", drafts, principal="a", channel="operator")
    assert (own.trust, both.trust, mine.trust) == (trust, 0, trust)


def test_hundreds_of_drafts_are_one_transaction(memory: Memory, say_to: Callable[..., Saying]) -> None:
    """All or nothing, in order."""
    say = say_to(memory)
    items = say.remember(*(say.case(f"cabinet {n} is empty") for n in range(300)))
    assert [item.text for item in items] == [f"cabinet {n} is empty" for n in range(300)]
    assert [entry.item for entry in memory.log("home")] == [item.id for item in items]
