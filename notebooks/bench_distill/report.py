"""Writes docs/bench/distill.md and its picture from the raw results."""

from __future__ import annotations

from pathlib import Path


def write(out: Path) -> None:
    """The report beside the folder of raw results, from what is there."""
