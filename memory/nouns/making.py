"""Making frozen things fast, where dozens are made for one answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, field, fields, make_dataclass
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def maker(frozen: Callable[P, T]) -> Callable[P, T]:
    """What makes instances of a frozen slotted dataclass, from the same arguments, ten times as fast.

    A frozen class sets each field by a call; a twin that is not frozen fills the slots, then the instance
    changes its class for good. Only for classes without a `__post_init__`.

    >>> from memory.nouns.messages import Evidence
    >>> one = maker(Evidence)("e1", 3)
    >>> one == Evidence("e1", 3), type(one) is Evidence
    (True, True)
    """
    of: Any = frozen
    assert not hasattr(of, "__post_init__"), f"{of.__name__} checks itself"

    def becomes(self: Any) -> None:
        self.__class__ = of

    twin = make_dataclass(
        of.__name__,
        [
            (one.name, Any, field(default=one.default))
            if one.default is not MISSING
            else (one.name, Any, field(default_factory=one.default_factory))
            if one.default_factory is not MISSING
            else (one.name, Any)
            for one in fields(of)
        ],
        namespace={"__post_init__": becomes},
        slots=True,
    )
    return cast("Callable[P, T]", twin)
