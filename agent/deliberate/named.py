"""The presets by the names that settings give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from agent.deliberate.correct import Choose, Rewrite
from agent.deliberate.debate import Debate
from agent.deliberate.gvr import Gvr
from agent.deliberate.model import Deliberating
from agent.deliberate.presets import Preset, PresetName
from agent.deliberate.tests import ByTests
from agent.forge.sandbox import Sandbox
from agent.types import Model

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


def deliberating(model: Model, preset: PresetName) -> Model:
    """The model, thinking twice as the preset has it; the model itself where that is off.

    >>> from agent.models.scripted import ScriptedModel
    >>> deliberating(ScriptedModel(["4"]), "debate").name
    'scripted'
    """
    return model if preset == "off" else Deliberating(model, PRESETS[preset]())
