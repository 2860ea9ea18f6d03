"""Policies and quotas from JSON, or from YAML once parsed: the place where foreign data becomes guards."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from agent.guards.privilege import Fallback, Policy, Rule
from agent.guards.quota import SPAWN_TOOLS, Quota
from agent.models.schema import check_schema
from memory.errors import BadInput
from memory.types import Json


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _RuleForm(_Form):
    tool: str = Field(min_length=1)
    effect: Literal["allow", "forbid"]
    when: dict[str, dict[str, JsonValue] | bool] = {}
    priority: int = 100
    missing: Literal["match", "mismatch"] | None = None
    min_trust: int = Field(default=0, ge=0, le=4)
    fallback: Fallback | None = None
    reason: str = ""

    @model_validator(mode="after")
    def _fits_its_effect(self) -> _RuleForm:
        if self.effect == "forbid" and self.min_trust:
            raise ValueError("min_trust belongs to allow rules: a forbid would vanish when trust is low")
        if self.effect == "allow" and self.fallback:
            raise ValueError("fallback belongs to forbid rules")
        return self


class _PolicyForm(_Form):
    rules: list[_RuleForm] = []
    default: Literal["allow", "forbid"] = "forbid"
    fallback: Fallback = "message"


class _QuotaForm(_Form):
    max_steps: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=0)
    max_cost_usd: float | None = Field(default=None, ge=0)
    max_seconds: float | None = Field(default=None, ge=0)
    calls: dict[str, int] = {}
    spawns: int = Field(default=0, ge=0)
    spawn_tools: list[str] = sorted(SPAWN_TOOLS)


_FormT = TypeVar("_FormT", bound=_Form)


def load_policy(data: Json) -> Policy:
    """A policy from JSON. Raises BadInput on unknown fields, contradictions and false JSON Schemas."""
    form = _read(_PolicyForm, data, "policy")
    for rule in form.rules:
        for schema in rule.when.values():
            if isinstance(schema, dict):
                check_schema(schema)
    rules = tuple(Rule(**rule.model_dump()) for rule in form.rules)
    return Policy(rules, form.default, form.fallback)


def dump_policy(policy: Policy) -> Json:
    """The JSON that `load_policy` reads back to an equal policy."""
    rules: list[Json] = [asdict(rule) for rule in policy.rules]
    return {"rules": rules, "default": policy.default, "fallback": policy.fallback}


def load_quota(data: Json) -> Quota:
    """A quota from JSON. Raises BadInput on unknown fields and negative limits."""
    form = _read(_QuotaForm, data, "quota")
    return Quota(**form.model_dump(exclude={"spawn_tools"}), spawn_tools=frozenset(form.spawn_tools))


def _read(form: type[_FormT], data: Json, what: str) -> _FormT:
    try:
        return form.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"not a {what}: {where}: {first['msg']}") from error
