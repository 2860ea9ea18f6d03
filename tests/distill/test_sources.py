"""Sources of tasks behind one filter: what is no task, strange, the gate's, known or hopeless goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.generate.loop import Refused
from agent.models.scripted import FunctionModel
from agent.types import Judgement, Task
from agent.worlds.catalogue import SPLITS, catalogue
from distill.sources.evolving import EvolveFailed
from distill.sources.finding import Search
from distill.sources.frontier import Frontier
from distill.sources.introspecting import Introspect
from distill.sources.known import PROPOSED, Candidate, Known, Lineage, Proposal, Rules
from distill.sources.named import SOURCES, source_named
from distill.sources.reading import FromDocument
from distill.sources.writing import names_in
from memory.errors import BadInput, BudgetExceeded
from memory.types import Item, Json, Message, PrincipleBody
from tests.distill.proposing import HOUSE, SITE, attempt, fine, house, text_task, texts, writer

WORK = HOUSE.tasks(site=SITE, split="work", n=30)
GATE = HOUSE.tasks(site=SITE, split="gate", n=4)


def mail(text: str) -> Task:
    return text_task({"text": text, "family": "mail"})


def bare(task: Task) -> dict[str, Json]:
    return {name: value for name, value in task.config.items() if name != "site"}


def reason(known: Known, said: Json, rules: Rules | None = None, **more: object) -> str:
    """Why the filter sends it back."""
    with pytest.raises(Refused) as refused:
        Frontier().over(known, rules or Rules()).admit(Proposal(said, **more))  # type: ignore[arg-type]
    return str(refused.value)


def test_a_catalogue_tells_the_split_of_a_task_however_it_is_worded() -> None:
    """As it draws them; a gate task in other words is still the gate's."""
    for split in SPLITS:
        drawn = HOUSE.tasks(site=SITE, split=split, n=4)
        assert {HOUSE.split_of(task) for task in drawn} == {split}
    for split in ("work", "gate"):
        city = catalogue("city")
        assert {city.split_of(task) for task in city.tasks(site="oak 23", split=split, n=4)} == {split}
    assert {HOUSE.split_of(HOUSE.task({**task.config, "wording": 1})) for task in GATE} == {"gate"}


class TestFilter:
    """Every refusal says why."""

    def test_what_is_no_task_of_the_place(self) -> None:
        known = house()
        assert reason(known, None).startswith("parse: a task was missing")
        assert reason(known, {"family": "heat", "things": ["dragon"], "target": "x"}).startswith("parse:")
        assert reason(known, {**WORK[0].config, "site": "oak 30"}).startswith("parse: site is 'oak 30'")
        assert reason(known, "put the sun in the drawer") == f"parse: no task of {SITE} is called that"
        assert reason(texts(), {"text": " "}).startswith("parse:")
        assert reason(texts(), {"text": "a", "family": "secrets"}).startswith("parse: family is 'secrets'")

    def test_a_proposal_names_no_more_than_a_task(self) -> None:
        """Servers of tools are not a model's to choose."""
        seen: list[object] = []

        def read(config: object) -> Task:
            seen.append(config)
            return mail("write to Ann")

        known = replace(texts(), read=read)
        Frontier().over(known, Rules()).admit(Proposal({"text": "write to Ann", "mcp": ["bank"]}))
        assert seen == [{"text": "write to Ann", "family": "mail"}]

    def test_the_gates_tasks(self) -> None:
        """By its own split, by what operators declared, in whatever words."""
        known = house()
        assert reason(known, bare(GATE[0])).startswith("gate: it is of split 'gate'")
        assert reason(known, {**bare(GATE[0]), "wording": 1}).startswith("gate:")
        held = replace(known, held=(WORK[0],))
        assert reason(held, bare(WORK[0])).startswith("gate: it is one of the gate's")
        assert Frontier().over(held, Rules()).admit(Proposal(bare(WORK[1]))).task == WORK[1]
        told = texts(held=(mail("write a letter to Ann"),))
        assert reason(told, "Write a letter, to Ann!").startswith("gate:")

    def test_what_memory_has_or_the_search_found(self) -> None:
        """By id and by what it says; tasks that wait count too."""
        known = texts(attempt(mail("write a letter to Ann"), "failure"), waiting=("ring the bell at noon",))
        assert reason(known, "Write a letter, to Ann.").startswith("duplicate: it says what 'write")
        assert reason(known, "ring the bell, at noon").startswith("duplicate:")
        sieve = Frontier().over(known, Rules())
        sieve.admit(Proposal("count the stamps"))
        with pytest.raises(Refused, match="duplicate"):
            sieve.admit(Proposal("count the stamps!"))

    def test_what_is_mastered_or_hopeless(self) -> None:
        """By the nearest finished tasks, real ones alone; what is like nothing known passes."""
        lived = [attempt(mail("carry the red crate upstairs"), "success", n) for n in range(9)]
        lived += [attempt(mail("juggle seven flaming torches"), "failure", n) for n in range(9)]
        lived += [
            replace(attempt(mail("paint the fence"), "failure", n), origin="imagined") for n in range(9)
        ]
        known, rules = texts(*lived), Rules((0.05, 0.75))
        strict = Rules((0.2, 0.75))
        assert reason(known, "carry the red crate upstairs twice", rules).startswith("band: too easy")
        assert reason(known, "juggle seven flaming torches twice", strict).startswith("band: too hard")
        for fresh in ("translate this poem", "paint the wall"):
            found = Frontier().over(known, rules).admit(Proposal(fresh))
            assert found.p == pytest.approx(0.5, abs=0.05)

    def test_names_that_were_not_shown(self) -> None:
        told = frozenset({"a@b.org"})
        assert "c@d.org is in none" in reason(texts(), "mail c@d.org", names=told)
        Frontier().over(texts(), Rules()).admit(Proposal("mail a@b.org twice", names=told))


async def test_mutations_of_failed_tasks_that_cannot_be_or_are_known_are_removed() -> None:
    """WebRL: of what a writer makes of failed tasks, impossible ones, copies and the mastered go; each with
    its reason, and it is asked again for as many.
    """
    failed, won = WORK[:3], WORK[3]
    lived = [*(attempt(task, "failure") for task in failed), attempt(won, "success")]
    names = frozenset[str]().union(*(names_in(task, listed=True) for task in failed))
    others = [task for task in HOUSE.all(SITE) if task not in failed]
    near = (task for task in others if names_in(task, listed=True) <= names)
    fresh = next(task for task in near if HOUSE.split_of(task) == "work")
    strange = next(task for task in others if not names_in(task, listed=True) <= names)
    impossible: Json = {**bare(failed[0]), "family": "sharpen"}
    model = writer(
        [bare(failed[0]), impossible, bare(fresh)],
        [bare(GATE[0]), bare(strange), bare(fresh)],
        "no JSON",
        "no",
    )
    search = Search(EvolveFailed(), model.complete, fine)
    found = await search.run(house(*lived), 6)
    assert [one.task for one in found.chosen] == [fresh]
    reasons = [one.reason for one in found.refused]
    for kind in ("duplicate: memory", "parse: ", "names: ", "duplicate: memory has it", "parse: a task was"):
        assert any(one.startswith(kind) for one in reasons), (kind, reasons)
    asked = model.history[0].messages[0].text
    assert all(task.text in asked for task in failed)
    assert won.text not in asked
    assert "Write 3 new tasks" in asked
    assert "These were refused" in model.history[2].messages[0].text


async def test_where_nothing_failed_there_is_nothing_to_evolve() -> None:
    model = writer([bare(WORK[1])])
    found = await Search(EvolveFailed(), model.complete, fine).run(house(attempt(WORK[0], "success")), 3)
    assert (found.chosen, model.history) == ((), [])


def principle(id_: str, text: str, trust: int = 1) -> Item:
    body = PrincipleBody("family", "operator")
    words = (id_, "home", "principle", "family", SITE, text, body, None, "active", 1)
    return Item(*words, "reflection", trust, "p", 0.0, 0.0, 0.0)  # type: ignore[arg-type]


async def test_tasks_are_made_of_what_is_only_written_down() -> None:
    """Synatra: each carries its item; the item that fewest tasks were made of comes first; strangers' words
    make a stranger's task.
    """
    items = (principle("i1", "wipe your feet first"), principle("i2", "locked rooms need the key", 0))
    fed = Lineage("from_document", ("i1",)).feedback()
    lived = replace(attempt(WORK[0], "success"), feedback=fed)
    model = writer([bare(WORK[1])], [bare(WORK[2])])
    source = FromDocument(per=1)
    found = await Search(source, model.complete, fine).run(house(lived, items=items), 2)
    assert [one.proposal.items for one in found.chosen] == [("i2",), ("i1",)]
    assert "locked rooms need the key" in model.history[0].messages[0].text
    assert [one.channel for one in found.chosen] == ["external", None]
    told = found.chosen[0].lineage("from_document", "job").feedback()[PROPOSED]
    assert told == {"source": "from_document", "items": ["i2"], "job": "job", "p": found.chosen[0].p}


async def test_what_the_model_is_of_two_minds_about_is_tried() -> None:
    """KnowRL: its votes decide, its examples are measured."""
    script = iter('{"feasible": ["sort the stamps"], "infeasible": ["fold the map"]}' for _ in range(1))
    votes = {"sort the stamps": iter(["yes", "no"] * 4), "fold the map": iter(["no"] * 8)}

    def say(messages: tuple[Message, ...]) -> str:
        text = messages[-1].text
        if "Can you do this" in text:
            return next(next(left for task, left in votes.items() if repr(task) in text))
        return next(script, '{"feasible": [], "infeasible": []}')

    model = FunctionModel(say)
    lived = [attempt(mail("weigh a letter"), "success"), attempt(mail("fly"), "failure")]
    found = await Search(Introspect(), model.complete, fine).run(texts(*lived), 2)
    assert [one.task.text for one in found.chosen] == ["sort the stamps"]
    asked = model.history[0].messages[0].text
    assert (
        asked.index("can do") < asked.index("weigh a letter") < asked.index("cannot do") < asked.index("fly")
    )


async def test_a_judge_has_the_last_word_and_a_budget_ends_the_search() -> None:
    """What it finds poor is told as refused; a budget leaves what was found before."""

    async def judge(candidate: Candidate, _: Known) -> Judgement:
        if "square" in candidate.task.text:
            return Judgement(0.2, None, "no end can be seen")
        if "stop" in candidate.task.text:
            raise BudgetExceeded("all tokens are used up")
        return Judgement(0.9, None)

    model = writer(["square the circle", "sort the stamps", "stop the clock"])
    source = EvolveFailed(turns=1)
    found = await Search(source, model.complete, judge, rounds=1).run(failing(), 3)
    assert [(one.task.text, one.quality) for one in found.chosen] == [("sort the stamps", 0.9)]
    assert [one.reason for one in found.refused] == [
        "quality: 0.20, wanted is 0.7. no end can be seen",
        "budget: all tokens are used up",
    ]


def failing() -> Known:
    return texts(attempt(mail("lick the envelope"), "failure"))


def test_sources_go_by_their_names() -> None:
    model = writer()
    assert {name: source_named(name, model, model.complete).name for name in SOURCES} == {
        name: name for name in SOURCES
    }
    with pytest.raises(BadInput, match="'nobody'; there are evolve_failed"):
        source_named("nobody", model, model.complete)


def test_lineage_says_only_what_is_known() -> None:
    assert "task_quality" not in Lineage("imagine").feedback()
    assert Lineage("imagine", quality=0.5).feedback()["task_quality"] == 0.5
