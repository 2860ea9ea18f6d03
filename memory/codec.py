"""Values of `memory.types` to plain JSON and back, without loss."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from memory.errors import BadInput
from memory.types import Json

T = TypeVar("T")


def _adapter(type_: type[object]) -> TypeAdapter[Any]:
    return _adapters(cast(Hashable, type_))


@lru_cache(maxsize=128)
def _adapters(type_: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(type[object], type_))


def to_json(value: object) -> Json:
    """The value as JSON data.

    >>> from memory.types import Evidence
    >>> to_json(Evidence("e1", 3))
    {'episode': 'e1', 'message': 3}
    """
    return cast(Json, _adapter(type(value)).dump_python(value, mode="json"))


def from_json(type_: type[T], data: Json) -> T:
    """The value that `to_json` made the data from. Raises BadInput on data of another shape.

    >>> from memory.types import Evidence
    >>> from_json(Evidence, {"episode": "e1", "message": 3})
    Evidence(episode='e1', message=3)
    """
    try:
        return cast(T, _adapter(type_).validate_python(data))
    except ValidationError as error:
        raise BadInput(f"not a valid {_name(type_)}: {_reason(error)}") from error


def dumps(value: object) -> str:
    """Canonical JSON text of a value: sorted keys, no spaces, no NaN. Raises BadInput on infinity or NaN.

    The text of `to_json`'s data, by a shorter way: a dataclass is written as its fields.
    """
    try:
        return _CANONICAL.encode(value)
    except ValueError as error:
        raise BadInput(f"infinity and NaN cannot be stored: {error}") from error


def loads(type_: type[T], text: str) -> T:
    """The value behind `dumps`. Raises BadInput on text of another shape."""
    try:
        return cast(T, _adapter(type_).validate_json(text))
    except ValidationError as error:
        raise BadInput(f"not a valid {_name(type_)}: {_reason(error)}") from error


def canonical(data: Json) -> str:
    """JSON data as the one text that hashes are taken over.

    >>> canonical({"b": 1, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    return dumps(data)


def _spelt(value: object) -> object:
    """What the encoder writes for a value it does not know."""
    names, values = _fields(cast(Hashable, type(value)))
    return dict(zip(names, values(value), strict=True))


@cache
def _fields(type_: Any) -> tuple[tuple[str, ...], Callable[[object], tuple[object, ...]]]:
    """Names of a dataclass's fields, and what takes their values."""
    if not is_dataclass(type_):
        raise BadInput(f"a {type_.__name__} cannot be stored as JSON")
    names = tuple(one.name for one in fields(type_))
    if len(names) == 1:
        return names, lambda value: (getattr(value, names[0]),)
    return names, attrgetter(*names)


_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_spelt
)


def _name(type_: object) -> str:
    return getattr(type_, "__name__", str(type_))


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'value'}: {first['msg']}"
