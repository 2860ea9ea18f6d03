"""Plans, searches, tasks: what is asked beside the acts, and at the edge of what can be done."""

from __future__ import annotations

from agent.planners.goals import GOALS
from agent.planners.plan import PLANNER
from distill.select import Band, Either, Everything, Has, Success
from distill.shapes.asides import Asides, Perturb, PlanPrefix
from distill.shapes.asking import Proposals, SelfAssessment
from distill.shapes.masks import Beside, ByKind, Chain, MaskErrors, MaskSpans, Whole
from distill.signals.agreement import Calibration, Consensus, Difficulty, Trust
from distill.signals.combined import Product, Scaled, Sum
from distill.signals.forms import Adherence, Format
from distill.signals.judged import Quality
from distill.signals.outcomes import Outcome
from distill.signals.reflecting import ReflectAgreement
from distill.types import Recipe

_ACTS = ByKind((("act", 1.0), ("answer", 1.0)))

ASKING: tuple[Recipe, ...] = (
    # PilotRL (arXiv 2508.00344): to follow a plan (ours: successes without one get one in hindsight, which
    # what went right follows), ...
    Recipe(
        "pilot.1",
        select=Either((Has("plan", agent=PLANNER), Success())),
        signal=Product((Outcome(), Adherence(otherwise=1.0))),
        shape=Chain((PlanPrefix(is_followed=True), _ACTS)),
    ),
    # ... to make one, ...
    Recipe(
        "pilot.2",
        select=Success(),
        signal=Product((Outcome(), Quality(otherwise=1.0))),
        shape=Chain((PlanPrefix(), Asides(("plan",)))),
        after="pilot.1",
    ),
    # ... and both together, by the outcome alone.
    Recipe(
        "pilot",
        select=Success(),
        signal=Outcome(),
        shape=Chain((PlanPrefix(), Beside((MaskErrors(), Asides(("plan",)))))),
        after="pilot.2",
    ),
    # SSRL (arXiv 2508.10874): right first, well formed a tenth; its own information is read, not learned.
    Recipe(
        "ssrl",
        select=Success(),
        signal=Sum((Scaled(Outcome(), 0.9), Scaled(Format("searching"), 0.1))),
        shape=MaskSpans(),
    ),
    # RE-Searcher (arXiv 2509.26048): true verdicts, queries that found, and finds that were disturbed.
    Recipe(
        "researcher",
        select=Has("reflect", agent=GOALS),
        signal=ReflectAgreement(),
        shape=Beside((Whole(), Asides(("plan", "reflect")), Perturb())),
    ),
    # KnowRL (arXiv 2510.11407): what can be done, by what was.
    Recipe("knowrl", select=Everything(), signal=Calibration(), shape=SelfAssessment()),
    # Agent0 (arXiv 2511.16043), the executor: pseudo labels, trusted as far as attempts agree.
    Recipe("agent0", select=Band(0.3, 0.8, "agreement"), signal=Trust(Consensus()), shape=Whole()),
    # Its curriculum agent: tasks that might go either way.
    Recipe("agent0_proposer", select=Everything(), signal=Difficulty("doubt"), shape=Proposals()),
    # Multi-Agent Evolve's proposer: hard tasks of quality; ours: none that nobody ever did.
    Recipe(
        "mae_proposer",
        select=Band(0.01, 1.0, "success"),
        signal=Sum((Quality(), Difficulty("failure"))),
        shape=Proposals(),
    ),
)
