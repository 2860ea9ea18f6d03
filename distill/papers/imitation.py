"""What went well is done again: whole, without its errors, without memory, or among other things."""

from __future__ import annotations

from distill.select import Anchor, BestPerTask, Both, Either, Everything, Origin, Success, UsedMemory
from distill.shapes.checking import BorneOut
from distill.shapes.conditioning import ConditionOnFeedback
from distill.shapes.masks import Chain, MaskErrors, Whole
from distill.shapes.roles import AsWorldModel
from distill.shapes.stripping import OthersMemory, StripMemory
from distill.signals.outcomes import Outcome, Uniform
from distill.types import Recipe, Stream

_FAFT = ConditionOnFeedback()

IMITATION: tuple[Recipe, ...] = (
    # STeP (arXiv 2505.20023): errors are context, what was done about them is learned.
    Recipe("step", select=Success(), signal=Uniform(), shape=MaskErrors()),
    # Context distillation (arXiv 2209.15189): what memory told must come from the weights.
    Recipe(
        "internalise",
        select=Both((Success(), UsedMemory())),
        signal=Uniform(),
        shape=Chain((MaskErrors(), StripMemory())),
        # Of what is left of general rows, which keep what the base could do before, a third each: without
        # memory; with it, so that the adapter does not unlearn to read it; and with what memory told of
        # another task, so that it does not unlearn what it knows where memory is shown.
        mixture=(
            Stream("with memory", MaskErrors(), share=0.2),
            Stream("with others' memory", Chain((MaskErrors(), OthersMemory())), share=0.2),
            Stream("general", Whole(), share=0.4, of="general", if_any=True),
        ),
    ),
    # AgentEvol (arXiv 2406.04151): one success of each task by its reward, and the first demonstrations.
    Recipe(
        "agentevol",
        select=Either((Both((Success(), BestPerTask(1))), Both((Anchor(20), BestPerTask(1))))),
        signal=Outcome(),
        shape=Whole(),
    ),
    # AgentTuning (arXiv 2310.12823): a fifth agent, four fifths general. Shares are of rows, not of tokens.
    Recipe(
        "agenttuning",
        select=Success(),
        signal=Uniform(),
        shape=Whole(),
        mixture=(Stream("general", Whole(), share=0.8, of="general"),),
    ),
    # FAFT (arXiv 2408.06318): every attempt, good or bad, behind its feedback; serving asks for the best.
    Recipe("faft", select=Everything(), signal=Uniform(), shape=_FAFT, prompt_prefix=_FAFT.best),
    # Synatra (arXiv 2409.15637): what documents say as demonstrations, a tenth at most; ours: if the world
    # bears it out.
    Recipe(
        "synatra",
        select=Both((Success(), Origin("synthetic", 0.1))),
        signal=Uniform(),
        shape=Chain((BorneOut(), MaskErrors())),
    ),
    # WebEvolver (arXiv 2504.21024), its world model: what is answered to a call.
    Recipe("world_model", select=Everything(), signal=Uniform(), shape=AsWorldModel()),
)
