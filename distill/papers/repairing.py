"""What went wrong is put right, and that is learned."""

from __future__ import annotations

from distill.select import Both, Either, Everything, Has, Judged, Success
from distill.shapes.asides import Asides
from distill.shapes.masks import Among, Beside, Chain, MaskErrors, Whole
from distill.shapes.preferring import SafeSteps
from distill.shapes.repairing import Critique, Refine, Reflector, Repair, Revise, TriRow
from distill.signals.combined import Product, Scaled, Sum
from distill.signals.forms import Format
from distill.signals.judged import Safety, Verifier
from distill.signals.outcomes import Uniform
from distill.signals.reflecting import ReflectionEffect
from distill.types import Recipe, Stream

_BY_SAFETY = Sum((Scaled(Safety(), 2.0), Scaled(Uniform(), -1.0)))
"""1 for what is safe, -1 for what is not."""
_BENIGN = Stream("benign", Among(Success(), MaskErrors()), share=0.5)

REPAIRING: tuple[Recipe, ...] = (
    # Re-ReST (arXiv 2406.01495): successes, repaired failures, and the reflector's rows.
    Recipe(
        "rerest",
        select=Success(),
        signal=Uniform(),
        shape=Chain((MaskErrors(), Beside((Repair(), Reflector())))),
    ),
    # Agent-R (arXiv 2501.11425): revisions and good ways. The general share is left to `agenttuning`.
    Recipe(
        "revise",
        select=Success(),
        signal=Uniform(),
        shape=Chain((MaskErrors(), Beside((Revise(), Whole())))),
    ),
    # AgentRefine (arXiv 2501.01702): only what went wrong and then right.
    Recipe("refine", select=Success(), signal=Uniform(), shape=Refine()),
    # SELF (arXiv 2310.00533): critique, repair, direct; all three in every round, so that none is lost.
    Recipe("self", select=Success(), signal=Uniform(), shape=Chain((MaskErrors(), TriRow()))),
    # SRPO (arXiv 2506.01713): a reflection is worth what it changed. Its format reward is a factor here.
    Recipe(
        "srpo",
        select=Either((Has("reflect"), Has("critique"))),
        signal=Product((ReflectionEffect(), Format("calls"))),
        shape=Beside((MaskErrors(), Asides(("reflect", "critique")))),
    ),
    # Agent0-VL (arXiv 2511.19900): the verifier weighs the steps, and its confirmed verdicts are learned.
    Recipe(
        "agent0vl",
        select=Both((Judged(), Success())),
        signal=Verifier(),
        shape=Beside((MaskErrors(), Critique())),
    ),
    # AutoSafe (arXiv 2505.17735): what is safe where something unsafe was near; half is harmless work.
    Recipe("autosafe", select=Everything(), signal=_BY_SAFETY, shape=SafeSteps(), mixture=(_BENIGN,)),
    # Its second half, ours: the safe act is preferred to the unsafe one.
    Recipe(
        "autosafe_pairs",
        select=Everything(),
        signal=_BY_SAFETY,
        shape=SafeSteps(pairs=True),
        objective="prefer",
        after="autosafe",
    ),
)
