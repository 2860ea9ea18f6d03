"""Policies and quotas from JSON and YAML: the place where foreign data becomes guards."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from agent.guards.privilege import Fallback, Policy, Rule, Update
from agent.guards.quota import SPAWN_TOOLS, Quota
from agent.models.schema import check_schema
from memory.errors import BadInput
from memory.types import Json


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


_When = dict[str, dict[str, JsonValue] | bool]
_Trust = Annotated[int, Field(ge=0, le=4)]


class _RuleForm(_Form):
    tool: str = Field(min_length=1)
    effect: Literal["allow", "forbid"]
    when: _When = {}
    priority: int = 100
    missing: Literal["match", "mismatch"] | None = None
    min_trust: _Trust = 0
    floors: dict[str, _Trust] = {}
    fallback: Fallback | None = None
    reason: str = ""

    @model_validator(mode="after")
    def _fits_its_effect(self) -> _RuleForm:
        if self.effect == "forbid" and (self.min_trust or self.floors):
            raise ValueError(
                "min_trust and floors belong to allow rules: a forbid would vanish when trust is low"
            )
        if self.effect == "allow" and self.fallback:
            raise ValueError("fallback belongs to forbid rules")
        return self


class _PolicyForm(_Form):
    rules: list[_RuleForm] = []
    default: Literal["allow", "forbid"] = "forbid"
    fallback: Fallback = "message"
    stores: list[str] = []
    texts: list[str] = []
    updates: list[_UpdateForm] = []


class _UpdateForm(_Form):
    after: str = Field(min_length=1)
    when: _When = {}
    policy: _PolicyForm


class _QuotaForm(_Form):
    max_steps: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=0)
    max_cost_usd: float | None = Field(default=None, ge=0)
    max_seconds: float | None = Field(default=None, ge=0)
    calls: dict[str, int] = {}
    spawns: int = Field(default=0, ge=0)
    spawn_tools: list[str] = sorted(SPAWN_TOOLS)
    depth: int = Field(default=0, ge=0)
    max_depth: int | None = Field(default=None, ge=0)


_FormT = TypeVar("_FormT", bound=_Form)


def load_policy(data: Json) -> Policy:
    """A policy from JSON. Raises BadInput on unknown fields, contradictions and false JSON Schemas."""
    return _policy(_read(_PolicyForm, data, "policy"))


def read_policy(path: Path) -> Policy:
    """A policy from a file of JSON or YAML. Raises BadInput when it cannot be read."""
    try:
        data: Json = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{str(path)!r} is no file of YAML or JSON: {error}") from error
    return load_policy(data)


def dump_policy(policy: Policy) -> Json:
    """The JSON that `load_policy` reads back to an equal policy; what is as it is by default is left out."""
    rules: list[Json] = []
    for rule in policy.rules:
        plain: dict[str, Json] = asdict(Rule(rule.tool, rule.effect))
        said = {key: value for key, value in asdict(rule).items() if value != plain[key]}
        rules.append({"tool": rule.tool, "effect": rule.effect, **said})
    updates: list[Json] = [
        {"after": one.after, "when": dict(one.when), "policy": dump_policy(one.policy)}
        for one in policy.updates
    ]
    return {
        "rules": rules,
        "default": policy.default,
        "fallback": policy.fallback,
        "stores": [*sorted(policy.stores)],
        "texts": [*sorted(policy.texts)],
        "updates": updates,
    }


def _policy(form: _PolicyForm) -> Policy:
    for when in (*(rule.when for rule in form.rules), *(update.when for update in form.updates)):
        for schema in when.values():
            if isinstance(schema, dict):
                check_schema(schema)
    rules = tuple(Rule(**rule.model_dump()) for rule in form.rules)
    updates = tuple(Update(one.after, _policy(one.policy), one.when) for one in form.updates)
    stores, texts = frozenset(form.stores), frozenset(form.texts)
    return Policy(rules, form.default, form.fallback, stores, texts, updates)


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
