"""What settings say of agents and recall, in the words of those rooms; bad ones are named with the remedy."""

from __future__ import annotations

import math
from dataclasses import replace

from agent.automaton.speaking import read_protocol
from agent.builders.settings import MineSettings
from agent.critics.consistency import Consistency
from agent.critics.consistency import load as load_classifier
from agent.forge.kit import Forge, ForgeSettings
from agent.forge.sandbox import refuse_unless_isolated
from agent.guards.feasible import FeasibleSettings
from agent.guards.files import read_policy
from agent.guards.safety import Safety
from agent.guards.temporal import read_order
from agent.holding import Holding
from agent.opening import AgentSettings
from agent.planners.named import planner_named
from agent.verification.verify import VerifySettings
from memory.encoder import Encoder
from memory.errors import BadInput
from memory.recall.choosing import RecallSettings
from memory.value.neural import load
from memory.value.reads import ReadSettings
from memory.value.steps import GATE
from server.checks import SYMBOLIC, Checks
from server.errors import UnknownModel
from server.models import Models
from server.settings import Settings

_ALL = "*"


def check(settings: Settings) -> None:
    """What can be told before anything is opened. Raises BadInput, Denied where code cannot be isolated."""
    planner_named(settings.planner)
    mixture = settings.recall_policies
    if "neural" in {settings.recall_policy, *mixture} and settings.critic is None:
        raise BadInput(
            "the read policy 'neural' needs a critic: fit one with `python -m distill.critic` and give its"
            " folder as critic"
        )
    if any(chance <= 0.0 for chance in mixture.values()) or (
        mixture and not math.isclose(math.fsum(mixture.values()), 1.0, abs_tol=1e-6)
    ):
        raise BadInput(f"recall_policies is {mixture}: give each policy a chance above 0, 1 in all")
    if settings.verify_in_parts and not settings.verify:
        raise BadInput("verify_in_parts is true and verify is false: set verify too")
    if settings.verify_by == "consistency" and settings.verifier == SYMBOLIC:
        raise BadInput("verify_by is 'consistency', which asks a model: name one as verifier")
    if settings.forge_nudge and settings.forge == "off":
        raise BadInput("forge_nudge is true and forge is 'off': set forge too")
    if settings.deliberate == "tests" or settings.forge != "off":
        refuse_unless_isolated()


def recall_settings(settings: Settings, encoder: str) -> RecallSettings:
    """How memory ranks; `encoder` is the generation of its vectors. Raises BadInput on an unfit critic."""
    read = ReadSettings(
        settings.recall_policy,
        alpha=settings.recall_temperature,
        critic=None if settings.critic is None else load(settings.critic, encoder),
    )
    return RecallSettings(
        principal_share=settings.recall_principal_share,
        utility_weight=settings.recall_utility_weight,
        read=read,
    )


def agent_settings(settings: Settings) -> AgentSettings:
    """How agents use their memory."""
    return AgentSettings(
        k=settings.recall_k,
        token_budget=settings.recall_tokens,
        constitution_budget=settings.constitution_tokens,
        enforces_principles=settings.enforce_principles,
        drop_rate=settings.recall_drop_rate,
        hold_out=settings.recall_hold_out,
        trial_rate=settings.trial_rate,
        recall_on_failure=settings.recall_on_failure,
        procedures=settings.procedures,
        tool_notes=settings.tool_notes,
        safety=settings.safety_notes,
        reflection_calls=settings.reflection_calls,
        reflection_tokens=settings.reflection_tokens,
        reflect_every=settings.reflect_every,
        mining=MineSettings(settings.mined_patterns),
        mixture=tuple(settings.recall_policies.items()),
        approval_s=settings.approval_s,
    )


def checks_of(settings: Settings, models: Models, encoder: Encoder) -> Checks:
    """What stands beside agents. Raises BadInput on a verifier that is no model of all namespaces, and
    on a file that holds no policy, order or protocol, or no classifier of this encoder.
    """
    if settings.verifier != SYMBOLIC:
        try:
            models.resolve(settings.verifier, _ALL)
        except UnknownModel as error:
            raise BadInput(
                f"verifier is {settings.verifier!r}: give 'symbolic' or a model without an adapter; {error}"
            ) from error
    return Checks(
        settings.advantage_guard,
        replace(GATE, epsilon=settings.advantage_margin, least=settings.advantage_least),
        settings.verify,
        settings.verifier,
        VerifySettings(actions=settings.verify_actions),
        settings.verify_in_parts,
        read_policy(settings.policy) if settings.policy else None,
        Holding(settings.write_policy, settings.narrow_policy),
        read_order(settings.order) if settings.order else None,
        settings.planner,
        settings.deliberate,
        Safety() if settings.safety_guard else None,
        settings.max_spawns,
        settings.max_spawn_depth,
        FeasibleSettings() if settings.admission else None,
        _forge(settings) if settings.forge != "off" else None,
        _consistency(settings, encoder) if settings.verify_by == "consistency" else None,
        read_protocol(settings.speaking) if settings.speaking else None,
    )


def _forge(settings: Settings) -> Forge:
    return Forge(ForgeSettings(at_once=settings.forge == "at_once", nudges=settings.forge_nudge))


def _consistency(settings: Settings, encoder: Encoder) -> Consistency:
    folder = settings.consistency
    return Consistency(encoder, None if folder is None else load_classifier(folder, encoder.generation))
