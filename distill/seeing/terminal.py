"""Rows in a terminal: what trains is green, the more the stronger; what is unlearned red; memory blue."""

from __future__ import annotations

from rich.text import Text

from distill.seeing.pieces import Piece, largest, lines_of
from distill.types import Row

_STYLES = {"context": "dim", "memory": "blue"}
_STRENGTHS = ("", "bold ")


def coloured(row: Row) -> Text:
    """The row as a person reads it, a line a message: index, weight, speaker, words.

    >>> from memory.types import Message
    >>> row = Row("e1", (Message("user", "go", weight=0.0), Message("assistant", "hi", weight=1.0)), (0, 1))
    >>> print(coloured(row).plain)
    episode e1 (main)
      0   0.00  user       go
      1   1.00  assistant  hi
    """
    top = largest(row)
    text = Text(f"episode {row.episode} ({row.stream})", style="bold")
    for line in lines_of(row):
        place = "new" if line.index < 0 else f"{line.index}"
        text.append(f"\n{place:>3}  {line.weight:5.2f}  {line.speaker:9}  ", style="not bold")
        for piece in line.pieces:
            text.append(piece.text, style=f"not bold {_style(piece, top)}")
        if line.is_wrong:
            text.append("  ✗", style="not bold red")
    return text


def _style(piece: Piece, top: float) -> str:
    if piece.fate in _STYLES:
        return _STYLES[piece.fate]
    is_strong = abs(piece.weight) >= top / 2
    return f"{_STRENGTHS[is_strong]}{'green' if piece.fate == 'trains' else 'red'}"
