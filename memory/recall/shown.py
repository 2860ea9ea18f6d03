"""An item as plain text: what a reader without a style of its own is shown. Pure."""

from __future__ import annotations

from memory.types import (
    CaseBody,
    FlowBody,
    Item,
    NoteBody,
    PolicyBody,
    ProcedureBody,
    SafetyBody,
    ToolBody,
)


def shown_text(item: Item) -> str:
    """The item as text: what its token cost is counted on unless the caller shows it otherwise."""
    parts = (item.text, *_parts(item))
    return "\n".join(dict.fromkeys(part for part in parts if part))


def _parts(item: Item) -> tuple[str, ...]:
    match item.body:
        case CaseBody(plan=plan, lesson=lesson, cause=cause):
            return (*plan, lesson, cause or "")
        case ProcedureBody(preconditions=preconditions, steps=steps, notes=notes):
            return (*preconditions, *steps, *notes)
        case NoteBody(note=note):
            return (note,)
        case FlowBody(steps=steps):
            return steps
        case SafetyBody(situation=situation, hazard=hazard, safe_action=safe_action):
            return (situation, hazard, safe_action)
        case ToolBody(name=name, description=description):
            return (name, description)
        case PolicyBody(reason=reason):
            return (reason,)
    return ()
