"""Who may call what: one table of every route, by role and scope; what it does not name is an operator's.

An `operator` may do everything in its namespace. A `user` chats, sets tasks, reads and writes memory. An
`agent` is a program that works: it chats, sets tasks, follows those whose ids it was given, and recalls. It
lists nothing, so that it meets other principals' episodes only as far as recall shows them; it writes no
memory and gives no feedback, so that it cannot teach itself what to be rewarded for; and it answers no
question that a task asks a human. `read-only` looks at everything that a user sees and changes nothing.

Scopes narrow a key below its role; a key without scopes has them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from memory.errors import Denied
from server.auth import AccessRole, AccessScope, Identity


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route takes."""

    roles: frozenset[AccessRole]
    scopes: tuple[AccessScope, ...] = ()
    """One of them; none: any key will do."""
    is_open: bool = False
    """It is answered without a key."""
    is_chat: bool = False
    """It holds one of the namespace's places for conversations until it is answered to the end."""
    is_audited: bool = False
    """What it did is written to the log of memory, since nothing else of it is written there."""

    @property
    def audited(self) -> Rule:
        """The same, audited."""
        return replace(self, is_audited=True)


_ALL: frozenset[AccessRole] = frozenset(("operator", "user", "agent", "read-only"))
_SEEING = _ALL - {"agent"}
_WORKING = _ALL - {"read-only"}
_WRITING = _SEEING & _WORKING
_OPERATING: frozenset[AccessRole] = frozenset(("operator",))

OPEN = Rule(_ALL, is_open=True)
ANY = Rule(_ALL)
CHAT = Rule(_WORKING, ("chat",), is_chat=True)
KEPT = Rule(_ALL, ("chat",))
UNKEPT = Rule(_WORKING, ("chat",))
WORK = Rule(_WORKING, ("tasks",))
FOLLOW = Rule(_ALL, ("tasks",))
SEE_TASKS = Rule(_SEEING, ("tasks",))
SET_TASKS = Rule(_WRITING, ("tasks",))
RECALL = Rule(_ALL, ("memory:read",))
SEE = Rule(_SEEING, ("memory:read",))
WRITE = Rule(_WRITING, ("memory:write",))
GOVERN = Rule(_OPERATING, ("memory:write",))
JUDGE = Rule(_WRITING, ("chat", "tasks"))
SEE_WEIGHTS = Rule(_SEEING, ("distill",))
DISTIL = Rule(_OPERATING, ("distill",), is_audited=True)
ADMIN = Rule(_OPERATING, ("admin",))
UNDECIDED = Rule(_OPERATING, ("admin",), is_audited=True)

ACCESS: Mapping[str, Rule] = {
    "GET /health/live": OPEN,
    "GET /health/ready": OPEN,
    "GET /metrics": SEE,
    "GET /openapi.json": OPEN,
    "GET /docs": OPEN,
    "GET /docs/oauth2-redirect": OPEN,
    "GET /redoc": OPEN,
    "GET /": OPEN,
    "GET /web/{path:path}": OPEN,
    # Its tools ask for what the routes of the same thing take.
    "* /mcp": ANY,
    "GET /v1/me": ANY,
    "GET /v1/models": ANY,
    "GET /v1/models/{model:path}": ANY,
    "POST /v1/chat/completions": CHAT,
    "POST /v1/responses": CHAT,
    # By ids that only who made them was given.
    "GET /v1/responses/{response_id}": KEPT,
    "DELETE /v1/responses/{response_id}": UNKEPT,
    "POST /v1/rollout/{rollout}/responses": CHAT,
    "GET /v1/rollout/{rollout}/responses/{response_id}": KEPT,
    "DELETE /v1/rollout/{rollout}/responses/{response_id}": UNKEPT,
    "POST /v1/rollout/{rollout}/chat/completions": CHAT,
    "GET /v1/rollout/{rollout}/models": ANY,
    "GET /v1/rollout/{rollout}": SEE,
    "POST /v1/rollout/{rollout}/feedback": JUDGE,
    "POST /v1/tasks": WORK,
    "GET /v1/tasks": SEE_TASKS,
    "GET /v1/tasks/{task_id}": FOLLOW,
    "GET /v1/tasks/{task_id}/events": FOLLOW,
    "POST /v1/tasks/{task_id}/cancel": WORK,
    "POST /v1/tasks/{task_id}/resume": WORK,
    "POST /v1/tasks/{task_id}/approvals/{question}": SET_TASKS.audited,
    "POST /v1/tasks/{task_id}/feedback": JUDGE,
    "GET /v1/worlds": FOLLOW,
    "GET /v1/worlds/{name}/tasks": FOLLOW,
    "POST /v1/proposals": SET_TASKS,
    "GET /v1/proposals": SEE_TASKS,
    "GET /v1/proposals/{proposal_id}": SEE_TASKS,
    "POST /v1/proposals/{proposal_id}/cancel": SET_TASKS,
    "POST /v1/flows/improvements": Rule(_OPERATING, ("tasks",), is_audited=True),
    "GET /v1/flows/improvements/{improvement_id}": SEE_TASKS,
    "POST /v1/flows/improvements/{improvement_id}/cancel": Rule(_OPERATING, ("tasks",), is_audited=True),
    "GET /v1/episodes": SEE,
    "GET /v1/episodes/{episode_id}": SEE,
    "POST /v1/episodes/{episode_id}/feedback": JUDGE,
    "GET /v1/memory": SEE,
    "POST /v1/memory": WRITE,
    "GET /v1/memory/search": RECALL,
    "POST /v1/memory/search": RECALL,
    "GET /v1/memory/{item_id}": SEE,
    "PATCH /v1/memory/{item_id}": WRITE,
    "DELETE /v1/memory/{item_id}": WRITE,
    "GET /v1/memory/{item_id}/history": SEE,
    "GET /v1/memory/{item_id}/diff": SEE,
    "POST /v1/memory/merge": WRITE,
    "POST /v1/memory/undo": WRITE,
    "POST /v1/memory/restore": GOVERN,
    "POST /v1/memory/forget": GOVERN,
    "POST /v1/memory/revoke": GOVERN,
    "POST /v1/memory/erase": GOVERN,
    "POST /v1/memory/consolidations": GOVERN.audited,
    "GET /v1/memory/consolidations": SEE,
    "GET /v1/memory/consolidations/{consolidation_id}": SEE,
    "POST /v1/memory/consolidations/{consolidation_id}/cancel": GOVERN.audited,
    "GET /v1/bundle": replace(SEE, is_audited=True),
    "POST /v1/bundle": WRITE,
    "POST /v1/imports": WRITE,
    "GET /v1/constitution": RECALL,
    "GET /v1/constitution/versions": SEE,
    "GET /v1/constitution/versions/{version_id}": SEE,
    "GET /v1/constitution/diff": SEE,
    "GET /v1/constitution/bundle": SEE.audited,
    "POST /v1/constitution/import": WRITE,
    "POST /v1/constitution/freeze": WRITE,
    "POST /v1/constitution/rollback": GOVERN,
    "POST /v1/constitution/review": GOVERN,
    "POST /v1/constitution/builds": GOVERN.audited,
    "GET /v1/constitution/builds": SEE,
    "GET /v1/constitution/builds/{build_id}": SEE,
    "POST /v1/constitution/builds/{build_id}/cancel": GOVERN.audited,
    "POST /v1/distillations": DISTIL,
    "GET /v1/distillations": SEE_WEIGHTS,
    "GET /v1/distillations/{distillation_id}": SEE_WEIGHTS,
    "GET /v1/distillations/{distillation_id}/events": SEE_WEIGHTS,
    "GET /v1/distillations/{distillation_id}/report": SEE_WEIGHTS,
    "GET /v1/distillations/{distillation_id}/rows": SEE_WEIGHTS,
    "POST /v1/distillations/{distillation_id}/cancel": DISTIL,
    "GET /v1/suites": SEE_WEIGHTS,
    "PUT /v1/suites": DISTIL,
    "DELETE /v1/suites": DISTIL,
    "GET /v1/adapters": SEE_WEIGHTS,
    "GET /v1/adapters/{adapter_id}": SEE_WEIGHTS,
    "GET /v1/adapters/{adapter_id}/lineage": SEE_WEIGHTS,
    "POST /v1/adapters/{adapter_id}/promote": DISTIL,
    "POST /v1/adapters/{adapter_id}/canary": DISTIL,
    "POST /v1/adapters/rollback": DISTIL,
    "GET /v1/dials": SEE,
    "PATCH /v1/dials": ADMIN,
    "GET /v1/policies": SEE,
    "GET /v1/lifts": SEE,
    "GET /v1/learning/curve": SEE,
    "GET /v1/health/learning": SEE,
    "POST /v1/health/learning/canary": ADMIN.audited,
    "POST /v1/keys": ADMIN.audited,
    "GET /v1/keys": ADMIN,
    "GET /v1/keys/{key_id}": ADMIN,
    "POST /v1/keys/{key_id}/rotate": ADMIN.audited,
    "DELETE /v1/keys/{key_id}": ADMIN.audited,
    "POST /v1/batches": WORK,
    "GET /v1/batches": SEE_TASKS,
    "GET /v1/batches/{batch_id}": FOLLOW,
    "GET /v1/batches/{batch_id}/results": FOLLOW,
    "POST /v1/batches/{batch_id}/cancel": WORK,
    "POST /v1/schedules": SET_TASKS.audited,
    "GET /v1/schedules": SEE_TASKS,
    "GET /v1/schedules/{schedule_id}": SEE_TASKS,
    "POST /v1/schedules/{schedule_id}/pause": SET_TASKS.audited,
    "POST /v1/schedules/{schedule_id}/resume": SET_TASKS.audited,
    "DELETE /v1/schedules/{schedule_id}": SET_TASKS.audited,
    "GET /v1/jobs": SEE_TASKS,
    "GET /v1/jobs/{kind}/{job_id}": SEE_TASKS,
    # What is done to a job takes what its own routes take, see `server.acting`.
    "POST /v1/jobs/{kind}/{job_id}/cancel": SET_TASKS.audited,
    "POST /v1/jobs/{kind}/{job_id}/retry": SET_TASKS.audited,
    "POST /v1/webhooks": ADMIN.audited,
    "GET /v1/webhooks": ADMIN,
    "GET /v1/webhooks/{webhook_id}": ADMIN,
    "DELETE /v1/webhooks/{webhook_id}": ADMIN.audited,
    "POST /v1/webhooks/{webhook_id}/enable": ADMIN.audited,
    "POST /v1/webhooks/{webhook_id}/test": ADMIN,
    "GET /v1/webhooks/{webhook_id}/deliveries": ADMIN,
    "GET /v1/quotas": FOLLOW,
    "GET /v1/quotas/{space}": ADMIN,
    "PUT /v1/quotas/{space}": ADMIN.audited,
    "DELETE /v1/quotas/{space}": ADMIN.audited,
    "GET /v1/audit": ADMIN,
    "GET /v1/audit/chain": ADMIN,
}


def rule_of(method: str, path: str) -> Rule:
    """The rule of a route, by its pattern. HEAD is as GET."""
    method = "GET" if method == "HEAD" else method
    return ACCESS.get(f"{method} {path}") or ACCESS.get(f"* {path}") or UNDECIDED


def permit(caller: Identity, rule: Rule) -> None:
    """Raises Denied, in words that name what is missing."""
    if caller.role not in rule.roles:
        if rule.roles == _OPERATING:
            raise Denied(f"this needs an operator's key; this one has the role {caller.role!r}")
        if caller.role == "read-only":
            raise Denied("this key may only read")
        raise Denied(f"a key with the role {caller.role!r} may not do this; {_named(rule)} may")
    if caller.scopes is not None and rule.scopes and caller.scopes.isdisjoint(rule.scopes):
        raise Denied(
            f"this needs the scope {' or '.join(map(repr, rule.scopes))}; this key has "
            f"{', '.join(sorted(caller.scopes))}"
        )


def _named(rule: Rule) -> str:
    return ", ".join(sorted(rule.roles))
