"""Functions that can stand on their own, taken out of a script that worked. Pure: nothing is run.

Source: DynaSaur (arXiv 2411.01747): top-level functions with their imports, with type hints and a docstring.
Deviations: a missing docstring is a reason not to keep one, no model fills it in; a function may name nothing
of its script but imports and other such functions; its docstring shows an example, which is its test.
"""

from __future__ import annotations

import ast
import builtins
import doctest
import symtable
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from memory.types import Json, ToolBody

OURS = frozenset({"call_tool", "ToolError"})
"""What generated code finds beside Python's own names."""
_ALWAYS = frozenset(dir(builtins)) | OURS | {"__name__"}
_TYPES: Mapping[str, str] = {
    "int": "integer",
    "float": "number",
    "str": "string",
    "bool": "boolean",
    "list": "array",
    "tuple": "array",
    "Sequence": "array",
    "dict": "object",
    "Mapping": "object",
    "None": "null",
}
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What Python says of a text that is no program, or one nested too deep."""
MAX_CODE = 20_000
"""Characters of one function."""
MAX_FUNCTIONS = 100
"""In one script: more are not read, which would take long."""
_MAX_HEAD = 200
"""Nodes of a function's arguments and hints; what is nested deeper breaks who reads it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a script has for keeping, those first that others need."""

    tools: tuple[ToolBody, ...] = ()
    left: tuple[str, ...] = ()
    """What cannot be kept, and why."""


@dataclass(frozen=True, slots=True)
class _Function:
    node: ast.FunctionDef
    names: frozenset[str]
    """What it needs from outside."""


def functions(code: str) -> Found:
    """The functions of a script; names that it has from nowhere are taken for tools that are kept already."""
    try:
        tree, table = ast.parse(code), symtable.symtable(code, "<code>", "exec")
    except _UNREADABLE:
        return Found()
    own = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if len(own) > MAX_FUNCTIONS:
        return Found(left=(f"any of its {len(own)} functions: at most {MAX_FUNCTIONS} are read, split it",))
    imports = _imports(tree)
    taken = {name for name in _bound(table) if name not in own and name not in imports}
    known = {name: _Function(node, _needs(node, table)) for name, node in own.items()}
    why = {name: _fault(one, taken, code) for name, one in known.items()}
    kept: dict[str, ToolBody] = {}
    left = {name: reason for name, reason in why.items() if reason}
    while ready := [n for n in known if n not in kept and n not in left and not _waits(known[n], own, kept)]:
        for name in ready:
            kept[name] = _tool(known[name], imports, code)
    for name in known:
        if name not in kept and name not in left:
            lacks = sorted((known[name].names & own.keys()) - kept.keys() - {name})
            left[name] = f"it needs {', '.join(lacks)}, which cannot be kept before it"
    return Found(tuple(kept.values()), tuple(f"{name}: {reason}" for name, reason in left.items()))


def named(code: str, *, ours: bool = False) -> frozenset[str]:
    """Names that a script uses and has from nowhere: tools that are kept, if anything, and `ours` if asked.

    >>> sorted(named("import math; x = math.sin(1); print(mean([x]))"))
    ['mean']
    """
    try:
        table = symtable.symtable(code, "<code>", "exec")
    except _UNREADABLE:
        return frozenset()
    return frozenset(_wanted(table)) - _bound(table) - (_ALWAYS - OURS if ours else _ALWAYS)


def heading(tool: ToolBody) -> str:
    """A tool in one line: what it is called with, and what for. What it is found again by."""
    node = next(one for one in ast.parse(tool.code).body if isinstance(one, ast.FunctionDef))
    returns = ast.unparse(node.returns) if node.returns else "None"
    return f"{tool.name}({ast.unparse(node.args)}) -> {returns}: {tool.description}"


def _imports(tree: ast.Module) -> dict[str, str]:
    """Import lines by the names they bind."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for one in node.names:
                alone = ast.Import([one]) if isinstance(node, ast.Import) else _from(node, one)
                found[one.asname or one.name.partition(".")[0]] = ast.unparse(alone)
    return found


def _from(node: ast.ImportFrom, one: ast.alias) -> ast.ImportFrom:
    return ast.ImportFrom(node.module, [one], node.level)


def _bound(table: symtable.SymbolTable) -> set[str]:
    """Names that the script itself gives a value."""
    return {one.get_name() for one in table.get_symbols() if one.is_assigned() or one.is_imported()} | {
        child.get_name() for child in table.get_children() if child.get_type() in {"function", "class"}
    }


def _wanted(table: symtable.SymbolTable) -> Iterator[str]:
    """Names that a scope and those in it have from outside."""
    is_module = table.get_type() == "module"
    for one in table.get_symbols():
        if one.is_referenced() and (is_module or one.is_global()):
            yield one.get_name()
    for child in table.get_children():
        yield from _wanted(child)


def _needs(node: ast.FunctionDef, table: symtable.SymbolTable) -> frozenset[str]:
    inside = {
        name
        for child in table.get_children()
        if child.get_name() == node.name and child.get_type() == "function"
        for name in _wanted(child)
    }
    around = [*node.decorator_list, node.args, *([node.returns] if node.returns else [])]
    arguments = {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
    outside = {one.id for part in around for one in ast.walk(part) if isinstance(one, ast.Name)}
    return frozenset(inside | (outside - arguments)) - _ALWAYS


def _fault(one: _Function, taken: Set[str], code: str) -> str | None:
    """Why it cannot be kept."""
    node, doc = one.node, ast.get_docstring(one.node)
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    bare = [each.arg for each in arguments if each.annotation is None]
    faults = {
        "its name is one of Python's or of ours": node.name in _ALWAYS,
        "it takes arguments without names": bool(node.args.vararg or node.args.kwarg),
        f"no type hint for {', '.join(bare) or 'what it returns'}": bool(bare) or node.returns is None,
        f"its arguments and hints have more than {_MAX_HEAD} parts": _is_long(node),
        "no docstring": not doc,
        "no example (>>> ...) in its docstring to test it by": not _examples(doc),
        f"it uses {', '.join(sorted(one.names & taken))} of the script: make that a parameter": bool(
            one.names & taken
        ),
        f"it is longer than {MAX_CODE} characters": len(_source(node, code)) > MAX_CODE,
    }
    return next((why for why, holds in faults.items() if holds), None)


def _is_long(node: ast.FunctionDef) -> bool:
    parts = [node.args, *([node.returns] if node.returns else [])]
    return sum(1 for part in parts for _ in ast.walk(part)) > _MAX_HEAD


def _examples(doc: str | None) -> bool:
    try:
        return bool(doctest.DocTestParser().get_examples(doc or ""))
    except ValueError:
        return False


def _waits(one: _Function, own: Mapping[str, ast.FunctionDef], kept: Mapping[str, ToolBody]) -> bool:
    return bool((one.names & own.keys()) - kept.keys() - {one.node.name})


def _tool(one: _Function, imports: Mapping[str, str], code: str) -> ToolBody:
    node = one.node
    lines = [imports[name] for name in sorted(one.names & imports.keys())]
    doc = ast.get_docstring(node) or ""
    return ToolBody(
        node.name,
        " ".join(doc.partition(">>>")[0].split()),
        _schema(node),
        "\n".join([*dict.fromkeys(lines), "", "", _source(node, code)]).lstrip("\n"),
        tuple(sorted(one.names - imports.keys() - {node.name})),
    )


def _source(node: ast.FunctionDef, code: str) -> str:
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    return "\n".join(code.splitlines()[first - 1 : node.end_lineno])


def _schema(node: ast.FunctionDef) -> dict[str, Json]:
    """JSON Schema of the arguments, as far as the hints say."""
    places = [*node.args.posonlyargs, *node.args.args]
    optional = {one.arg for one in places[len(places) - len(node.args.defaults) :]}
    optional |= {
        one.arg for one, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if value
    }
    every = [*places, *node.args.kwonlyargs]
    properties: dict[str, Json] = {one.arg: _hint(one.annotation) for one in every}
    required: list[Json] = [one.arg for one in every if one.arg not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _hint(hint: ast.expr | None) -> dict[str, Json]:
    match hint:
        case ast.Subscript(value=ast.Name(id=("list" | "Sequence")), slice=inner):
            return {"type": "array", "items": _hint(inner)}
        case ast.Subscript(value=ast.Name(id=name)) | ast.Name(id=name) if name in _TYPES:
            return {"type": _TYPES[name]}
        case ast.Constant(value=None):
            return {"type": "null"}
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return {"anyOf": [_hint(left), _hint(right)]}
    return {}
