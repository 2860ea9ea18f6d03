"""What a matplotlib figure shows, as data.

It imports nothing of ours, for its text also runs behind a plotting program.
Everything is asked of the figure as it is drawn: where texts stand in pixels, how many pixels have a mark's
colour. Fragile to figures that are drawn by other means than axes, lines, scatters and bars.
"""

import base64
import io
import json
from typing import Any

MARK = "drawing:"
"""Begins the line that `show` prints."""
NEAR = 48
"""Pixels whose channels together differ by less have a colour, 0..765."""


def show() -> None:
    """Print what the current figure shows, on one line of its own."""
    import matplotlib.pyplot as plt

    if not plt.get_fignums():
        raise RuntimeError("no figure is open at the end: do not close it")
    print(f"\n{MARK}{json.dumps(look(plt.gcf()))}")  # noqa: T201 - read by who runs the program


def look(figure: Any) -> dict[str, Any]:
    """The fields of `agent.critics.figure.Drawing` as JSON. Draws the figure."""
    import matplotlib.image
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3].astype(int)  # (h, w, 3)
    written = io.BytesIO()
    matplotlib.image.imsave(written, pixels.astype("uint8"), format="png")
    axes = [_axes(one, pixels) for one in figure.axes]
    texts = [_text(one, canvas) for one in figure.texts]
    for one in figure.axes:
        texts += _texts(one, canvas)
    height, width = pixels.shape[:2]
    return {
        "width": width,
        "height": height,
        "axes": axes,
        "texts": [one for one in texts if one["text"]],
        "png": base64.b64encode(written.getvalue()).decode("ascii"),
    }


def _axes(axes: Any, pixels: Any) -> dict[str, Any]:
    legend = axes.get_legend()
    inner = _within(axes, legend, pixels)
    title = next((axes.get_title(loc=at) for at in ("center", "left", "right") if axes.get_title(loc=at)), "")
    top = axes.figure.get_suptitle() if len(axes.figure.axes) == 1 else ""
    return {
        "title": title or top,
        "x_label": axes.get_xlabel(),
        "y_label": axes.get_ylabel(),
        "legend": [one.get_text() for one in legend.get_texts()] if legend else [],
        "ticks": [[place, label.get_text()] for place, label in _ticks(axes.xaxis)],
        "background": _hex(axes.get_facecolor()),
        "marks": [_with_pixels(one, inner) for one in _marks(axes)],
    }


def _within(axes: Any, legend: Any, pixels: Any) -> Any:
    """The pixels (h, w, 3) of the axes alone, without what lies under the legend."""
    height = len(pixels)
    inner = pixels.copy()
    if legend:
        left, low, right, high = (int(one) for one in legend.get_window_extent().extents)
        inner[max(0, height - high) : height - low, max(0, left) : right] = -765
    left, low, right, high = (int(one) for one in axes.get_window_extent().extents)
    return inner[max(0, height - high) : height - low, max(0, left) : right]


def _marks(axes: Any) -> list[dict[str, Any]]:
    found = []
    for line in axes.lines:
        is_dots = line.get_linestyle() in {"None", "none", " ", ""}
        x, y = line.get_xdata(orig=False), line.get_ydata(orig=False)
        colour = line.get_markerfacecolor() if is_dots else line.get_color()
        found.append(_mark("scatter" if is_dots else "line", line, x, y, colour))
    for dots in axes.collections:
        if type(dots).__name__ == "PathCollection":
            places = dots.get_offsets()
            found.append(_mark("scatter", dots, places[:, 0], places[:, 1], dots.get_facecolor()[0]))
    bars = [one for one in axes.containers if type(one).__name__ == "BarContainer" and one.patches]
    return found + [_bars(one) for one in bars]


def _bars(bars: Any) -> dict[str, Any]:
    patches = bars.patches
    if bars.orientation == "horizontal":
        x, y = [one.get_y() + one.get_height() / 2 for one in patches], [one.get_width() for one in patches]
    else:
        x, y = [one.get_x() + one.get_width() / 2 for one in patches], [one.get_height() for one in patches]
    return _mark("bar", bars, x, y, patches[0].get_facecolor())


def _mark(kind: str, artist: Any, x: Any, y: Any, colour: Any) -> dict[str, Any]:
    label = str(artist.get_label())
    return {
        "kind": kind,
        "label": "" if label.startswith("_") else label,
        "x": [float(one) for one in x],
        "y": [float(one) for one in y],
        "colour": _hex(colour),
    }


def _with_pixels(mark: dict[str, Any], pixels: Any) -> dict[str, Any]:
    own = [int(mark["colour"][at : at + 2], 16) for at in (1, 3, 5)]
    return {**mark, "pixels": int((abs(pixels - own).sum(axis=2) < NEAR).sum())}


def _texts(axes: Any, canvas: Any) -> list[dict[str, Any]]:
    titles = [axes.title, axes._left_title, axes._right_title, axes.xaxis.label, axes.yaxis.label]
    ticks = [label for axis in (axes.xaxis, axes.yaxis) for _, label in _ticks(axis)]
    return [_text(one, canvas) for one in (*titles, *axes.texts, *ticks) if one.get_visible()]


def _ticks(axis: Any) -> list[tuple[float, Any]]:
    """Places and labels that are within view."""
    low, high = sorted(axis.get_view_interval())
    pairs = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=False)
    return [(float(place), label) for place, label in pairs if low <= place <= high]


def _text(text: Any, canvas: Any) -> dict[str, Any]:
    box = text.get_window_extent(canvas.get_renderer())
    return {"text": text.get_text().strip(), "box": [float(one) for one in box.extents]}


def _hex(colour: Any) -> str:
    import matplotlib.colors

    return str(matplotlib.colors.to_hex(colour))
