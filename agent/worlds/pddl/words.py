"""The four domains in words: what holds, and what can be done. `{0}` is the first argument."""

from __future__ import annotations

from collections.abc import Mapping

FACTS: Mapping[str, str] = {
    # blocksworld
    "on": "{0} is on {1}",
    "on-table": "{0} is on the table",
    "clear": "nothing is on {0}",
    "holding": "{0} is held",
    "hand-empty": "the hand is empty",
    # gripper
    "robot-in": "the robot is in {0}",
    "in": "{0} is in {1}",
    "free": "{0} is free",
    "carried": "{0} is carried by {1}",
    # barman
    "empty": "{0} is empty",
    "clean": "{0} is clean",
    "used": "{0} was used for {1}",
    "contains": "{0} contains {1}",
    "unshaken": "{0} is unshaken",
    "shaken": "{0} is shaken",
    "gives": "{0} gives {1}",
    "filled-to": "{0} is filled to {1}",
    "is-empty-level": "{0} is empty at {1}",
    "follows": "{1} is one above {0}",
    "first-part": "{0} has a part of {1}",
    "second-part": "{0} has another part of {1}",
    # tyreworld
    "in-boot": "{0} is in {1}",
    "have": "you have {0}",
    "open": "{0} is open",
    "closed": "{0} is closed",
    "on-ground": "{0} is on the ground",
    "raised": "{0} is raised by {1}",
    "bare": "{0} has no wheel",
    "tight": "{0} are tight on {1}",
    "loose": "{0} are loose on {1}",
    "fastened": "{0} is fastened",
    "unfastened": "{0} is unfastened",
    "mounted": "{0} is mounted on {1}",
    "inflated": "{0} is inflated",
    "flat": "{0} is flat",
    "sound": "{0} is sound",
}
HELD_BY = "{1} is held by {0}"
"""`holding` where there are hands, in barman."""


def told(name: str, objects: tuple[str, ...]) -> str:
    """A fact as a sentence.

    >>> told("on", ("b1", "b2")), told("holding", ("left", "shot1"))
    ('b1 is on b2', 'shot1 is held by left')
    """
    form = HELD_BY if name == "holding" and len(objects) > 1 else FACTS[name]
    return form.format(*objects)
