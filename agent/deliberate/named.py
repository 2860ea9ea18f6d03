"""The presets by the names that settings give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

from agent.deliberate.correct import Choose, Rewrite
from agent.deliberate.debate import Debate
from agent.deliberate.gvr import Gvr
from agent.deliberate.model import Deliberating, Scope
from agent.deliberate.presets import Preset, PresetName
from agent.deliberate.tests import ByTests
from agent.forge.sandbox import Sandbox, refuse_unless_isolated
from agent.types import Model
from memory.errors import BadInput

PRESETS: Mapping[PresetName, Callable[[], Preset]] = MappingProxyType(
    {
        "rewrite": Rewrite,
        "choose": Choose,
        "gvr": Gvr,
        "debate": Debate,
        "tests": lambda: ByTests(Sandbox()),
    }
)
"""Each as it is with its defaults; `panel` needs a table and is made where there is one."""


def preset_of(name: str) -> PresetName:
    """A name that a request gives. Raises BadInput on another, Denied where what it runs cannot be isolated.

    >>> preset_of("debate")
    'debate'
    """
    if name == "panel":
        raise BadInput("'panel' judges a figure by a table, which no request holds: run `apprentice figure`")
    if name != "off" and name not in PRESETS:
        raise BadInput(f"there is no way to deliberate called {name!r}; there are: off, {', '.join(PRESETS)}")
    if name == "tests":
        refuse_unless_isolated()
    return cast(PresetName, name)


def deliberating(model: Model, preset: PresetName, *, scope: Scope = "answers") -> Model:
    """The model, thinking twice as the preset has it; the model itself where that is off.

    >>> from agent.models.scripted import ScriptedModel
    >>> deliberating(ScriptedModel(["4"]), "debate").name
    'scripted'
    """
    return model if preset == "off" else Deliberating(model, PRESETS[preset](), scope=scope)
