"""The loop that makes things up: what cannot be is asked for again, what was kept is told on."""

from __future__ import annotations

from collections.abc import Sequence

from agent.generate.loop import Generator, Refusal, Refused, Round, Tried, kept_of
from agent.types import Judgement

Found = Round[int, str, int, str]


class Counting:
    """Proposes numbers, and keeps what it was told."""

    def __init__(self, batches: Sequence[Sequence[int]]) -> None:
        self.batches = list(batches)
        self.heard: list[tuple[int, tuple[str, ...]]] = []
        self.rolled: list[str] = []

    async def propose(self, past: Sequence[Found], sent_back: Sequence[Refusal[int]]) -> Sequence[int]:
        self.heard.append((len(kept_of(past)), tuple(one.reason for one in sent_back)))
        return self.batches.pop(0) if self.batches else ()

    def instantiate(self, proposal: int) -> str:
        if proposal < 0:
            raise Refused(f"{proposal} is below 0")
        return str(proposal)

    async def roll_out(self, instance: str) -> int:
        self.rolled.append(instance)
        return int(instance) * 2

    async def judge(self, instance: str, result: int) -> Judgement:
        return Judgement(float(result > 4), result > 4)

    def generator(self) -> Generator[int, str, int, str]:
        return Generator(self.propose, self.instantiate, self.roll_out, self.judge, keep)


def keep(tried: Tried[str, int]) -> str | None:
    return f"{tried.instance}={tried.result}" if tried.judgement.ok else None


async def test_what_is_refused_is_told_and_asked_for_again() -> None:
    """With the reason, at most so often; what was fine in the same answer is not lost."""
    maker = Counting([[3, -1], [-2], [4]])
    (only,) = await maker.generator().run(1, retries=2)
    assert maker.heard == [(0, ()), (0, ("-1 is below 0",)), (0, ("-2 is below 0",))]
    assert maker.rolled == ["3", "4"]
    assert only.kept == ("3=6", "4=8")
    assert [one.proposal for one in only.refused] == [-1, -2]
    stubborn = Counting([[-1]] * 9)
    (only,) = await stubborn.generator().run(1, retries=2)
    assert (len(stubborn.heard), only.tried) == (3, ())


async def test_each_round_hears_of_those_before_and_only_the_good_is_kept() -> None:
    """It ends when nothing is proposed."""
    maker = Counting([[1, 3], [5]])
    rounds = await maker.generator().run(9)
    assert kept_of(rounds) == ("3=6", "5=10")
    assert [n for n, _ in maker.heard] == [0, 1, 2]
