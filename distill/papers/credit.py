"""Credit step by step: by a critic, by a tree of attempts, by what several agents make of each other."""

from __future__ import annotations

from agent.planners.team import TEAM
from distill.select import Band, BestPerTask, Both, Branches, Either, Everything, Has, Recent, Success
from distill.shapes.asides import Asides
from distill.shapes.masks import Beside, Steps, Whole
from distill.shapes.preferring import SiblingPairs
from distill.shapes.roles import PerAgent
from distill.signals.advantages import Advantage, Gae
from distill.signals.combined import Exp, Normalised, Sum
from distill.signals.forms import Format
from distill.signals.judged import ZeroSum
from distill.signals.outcomes import Outcome
from distill.signals.trees import TreeValue
from distill.types import Recipe

CREDIT: tuple[Recipe, ...] = (
    # WebRL (arXiv 2411.02337): what is new, and of the rest the successes that are neither mastered nor
    # strange; the scaled log-ratio is regressed to the advantage.
    Recipe(
        "webrl",
        select=Either(
            (Recent(200), Both((Success(), BestPerTask(1), Band(0.5, 0.95, "surprise", keeps_unknown=True))))
        ),
        signal=Advantage(lam=0.5),
        shape=Steps(),
        objective="regress",
    ),
    # Advantage-weighted regression (arXiv 1910.00177): each attempt's own return over the state's value.
    Recipe("awr", select=Everything(), signal=Exp(Advantage(lam=0.0), beta=0.5, cap=8.0), shape=Whole()),
    # ReAd (arXiv 2405.14314): the value of the act over that of the state, both from memory.
    Recipe("read", select=Everything(), signal=Exp(Advantage(), beta=0.3, cap=20.0), shape=Whole()),
    # MARFT (arXiv 2504.16129): advantages go from agent to agent; rows and baselines by role.
    Recipe(
        "marft",
        select=Has("plan", agent=TEAM),
        signal=Exp(Normalised(Gae(), by="role"), beta=1.0),
        shape=PerAgent(),
    ),
    # CoMAS (arXiv 2510.08529): who criticises earns what the criticised lose.
    Recipe(
        "comas",
        select=Has("critique"),
        signal=Exp(Normalised(ZeroSum()), beta=1.0),
        shape=Beside((PerAgent(), Asides(("critique",)))),
    ),
    # Multi-Agent Evolve (arXiv 2510.23595), the solver and the judge (who checked): score and format,
    # normalised by role.
    Recipe(
        "mae",
        select=Everything(),
        signal=Exp(Normalised(Sum((Outcome(), Format("calls"))), by="role"), beta=1.0),
        shape=Beside((PerAgent(), Asides(("critique",)))),
    ),
    # MALT (arXiv 2412.01928): first what most often leads to the right end, by who said it: a team's members
    # (generator, verifier, refiner) each behind what they were shown, ...
    Recipe("malt.1", select=Branches(2), signal=TreeValue(threshold=0.5), shape=PerAgent()),
    # ... then good siblings before bad ones, of one role after the same words.
    Recipe(
        "malt",
        select=Branches(2),
        signal=TreeValue(),
        shape=SiblingPairs(0.5),
        objective="prefer",
        after="malt.1",
    ),
)
