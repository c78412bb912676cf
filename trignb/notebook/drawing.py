"""Boxes in columns and the lines between them, as SVG.

Nothing is measured by a browser: text is set in a fixed pitch, so a box's width follows from its letters and
the same boxes give the same bytes. What people wrote (keys are data) is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10
from typing import Final, NamedTuple
from unicodedata import east_asian_width

__all__ = [
    "DARK",
    "INLINE",
    "LIGHT",
    "Box",
    "Line",
    "Palette",
    "draw",
    "place",
    "printable",
]


class Palette(NamedTuple):
    """Colours, as CSS writes them."""

    back: str
    text: str
    faint: str
    edge: str
    boxes: tuple[str, str, str]
    borders: tuple[str, str, str]
    bad: str


LIGHT: Final = Palette(
    back="#ffffff",
    text="#1f2328",
    faint="#59636e",
    edge="#8c959f",
    boxes=("#ddf4ff", "#fff8c5", "#dafbe1"),
    borders=("#54aeff", "#d4a72c", "#4ac26b"),
    bad="#cf222e",
)
DARK: Final = Palette(
    back="#111111",
    text="#f0f6fc",
    faint="#9198a1",
    edge="#656c76",
    boxes=("#0c2d4d", "#3a2d08", "#0f3320"),
    borders=("#388bfd", "#bb8009", "#2ea043"),
    bad="#ff7b72",
)
# Jupyter's own where there are any. The boxes let what is behind them shine through, which
# makes them pale on white and deep on black.
INLINE: Final = Palette(
    back="var(--jp-layout-color1,#ffffff)",
    text="var(--jp-content-font-color1,#1f2328)",
    faint="var(--jp-content-font-color2,#59636e)",
    edge="var(--jp-border-color0,#8c959f)",
    boxes=("#54aeff33", "#d4a72c33", "#4ac26b33"),
    borders=("#54aeff", "#d4a72c", "#4ac26b"),
    bad="var(--jp-error-color1,#cf222e)",
)


class Box(NamedTuple):
    """A box: a line of text, a smaller one below it, whether that one is bad news."""

    label: str
    below: str = ""
    is_bad: bool = False


class Line(NamedTuple):
    """A line from a box of column `column` to one of the next; `weight` makes it thicker."""

    column: int
    start: int
    end: int
    weight: int
    title: str = ""


_PITCH: Final = 7.3
_SMALL_PITCH: Final = 6.1
_LONGEST: Final = 38
_PAD: Final = 10
_HEIGHT: Final = 26
_TALL: Final = 40
_GAP: Final = 12
_BETWEEN: Final = 90
_TOP: Final = 34
_MARGIN: Final = 12
_FONT: Final = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


class _Placed(NamedTuple):
    """A box and where it is."""

    box: Box
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def draw(
    heads: Sequence[str],
    boxes: Sequence[Sequence[Box]],
    lines: Sequence[Line],
    palette: Palette,
    *,
    note: str = "",
    empty: str = "",
) -> str:
    """Return the SVG of three columns of boxes with lines between neighbours.

    Parameters
    ----------
    heads : sequence of str
        What stands above each column.
    boxes : sequence of sequences of Box
        The columns. The middle one keeps its order and is set evenly; those beside it follow
        it, so that few lines cross.
    lines : sequence of Line
        The lines.
    palette : Palette
        The colours.
    note, empty : str
        What stands below, and what stands there instead of a picture without boxes.
    """
    placed = place(boxes, lines)
    all_boxes = [one for column in placed for one in column]
    if not all_boxes:
        return _document(260, 40, palette, _text(_MARGIN, 24, empty, palette.faint))
    width = max(one.x + one.width for one in all_boxes) + _MARGIN
    bottom = max(one.y + one.height for one in all_boxes)
    height = bottom + _MARGIN + (18 if note else 0)
    parts = [_line(line, placed, palette) for line in lines]
    for number, (head, column) in enumerate(zip(heads, placed, strict=True)):
        if column:
            parts.append(_text(column[0].x, 20, head, palette.faint, small=True))
        parts += [_box(one, number, palette) for one in column]
    if note:
        parts.append(_text(_MARGIN, bottom + 20, note, palette.faint, small=True))
    return _document(width, height, palette, "".join(parts))


def _document(width: float, height: float, palette: Palette, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'font-family="{_FONT}" style="max-width:100%;height:auto">'
        f'<rect width="100%" height="100%" rx="6" style="fill:{palette.back}"/>'
        f"{content}</svg>"
    )


# -- where boxes stand


def place(boxes: Sequence[Sequence[Box]], lines: Sequence[Line]) -> list[list[_Placed]]:
    """Return where the boxes of three columns stand."""
    left, middle, right = boxes
    heights = [_TALL if any(b.below for b in column) else _HEIGHT for column in boxes]
    step = heights[1] + _GAP
    centres = [_TOP + heights[1] / 2 + i * step for i in range(len(middle))]
    before = _follow(left, _ends(lines, 0, centres, from_left=True), heights[0])
    after = _follow(right, _ends(lines, 1, centres, from_left=False), heights[2])
    columns, x = [], float(_MARGIN)
    between = _BETWEEN + min(2 * len(lines), _BETWEEN)
    for column, tall, ys in zip(boxes, heights, (before, centres, after), strict=True):
        width = max((_width(box) for box in column), default=0.0)
        columns.append(
            [
                _Placed(box, x, y - tall / 2, width, tall)
                for box, y in zip(column, ys, strict=True)
            ]
        )
        x += width + between
    return columns


def _ends(
    lines: Sequence[Line], column: int, centres: Sequence[float], *, from_left: bool
) -> dict[int, list[float]]:
    """Return for each box of an outer column where the lines it has begin or end."""
    found: dict[int, list[float]] = {}
    for line in lines:
        if line.column == column:
            outer, inner = line.start, line.end
            if not from_left:
                outer, inner = inner, outer
            found.setdefault(outer, []).append(centres[inner])
    return found


def _follow(
    boxes: Sequence[Box], ends: dict[int, list[float]], height: float
) -> list[float]:
    """Return the middles of a column's boxes: near their lines' ends, none on another."""
    wanted = [sum(ends[i]) / len(ends[i]) for i in range(len(boxes))]
    order = sorted(range(len(boxes)), key=lambda i: (wanted[i], i))
    # Blocks of boxes that touch lie around the mean of what their boxes want.
    blocks: list[list[int]] = []
    for i in order:
        blocks.append([i])
        while len(blocks) > 1 and _clash(blocks[-2], blocks[-1], wanted, height):
            touching = blocks.pop()
            blocks[-1] += touching
    ys = [0.0] * len(boxes)
    for block in blocks:
        for at, i in enumerate(block):
            ys[i] = _start(block, wanted, height) + at * (height + _GAP)
    low = min(ys, default=0.0) - height / 2
    return [y + max(_TOP - low, 0) for y in ys]


def _start(block: Sequence[int], wanted: Sequence[float], height: float) -> float:
    mean = sum(wanted[i] for i in block) / len(block)
    return mean - (len(block) - 1) * (height + _GAP) / 2


def _clash(
    upper: Sequence[int], lower: Sequence[int], wanted: Sequence[float], height: float
) -> bool:
    end = _start(upper, wanted, height) + len(upper) * (height + _GAP)
    return _start(lower, wanted, height) < end


# -- what is drawn


def _box(one: _Placed, column: int, palette: Palette) -> str:
    box = one.box
    shape = (
        f'<rect x="{one.x:.1f}" y="{one.y:.1f}" width="{one.width:.1f}" '
        f'height="{one.height:.1f}" rx="5" '
        f'style="fill:{palette.boxes[column]};stroke:{palette.borders[column]}"/>'
    )
    first = one.y + (17 if box.below else one.height / 2 + 4)
    label = _text(one.x + _PAD, first, _shown(box.label), palette.text)
    below = ""
    if box.below:
        colour = palette.bad if box.is_bad else palette.faint
        below = _text(one.x + _PAD, one.y + 32, box.below, colour, small=True)
    title = f"<title>{escape(printable(box.label))}</title>"
    return f"<g>{title}{shape}{label}{below}</g>"


def _line(line: Line, placed: Sequence[Sequence[_Placed]], palette: Palette) -> str:
    start, end = placed[line.column][line.start], placed[line.column + 1][line.end]
    x, y, to_x, to_y = start.x + start.width, start.middle, end.x - 7, end.middle
    bend = (to_x - x) / 2
    width = 1 + min(log10(max(line.weight, 1)), 4) / 1.5
    path = (
        f'<path d="M{x:.1f} {y:.1f}C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} '
        f'{to_y:.1f} {to_x:.1f} {to_y:.1f}" '
        f'style="fill:none;stroke:{palette.edge};stroke-width:{width:.1f}"/>'
    )
    head = (
        f'<path d="M{to_x:.1f} {to_y - 4:.1f}l7 4l-7 4z" style="fill:{palette.edge}"/>'
    )
    if not line.title:
        return path + head
    return f"<g><title>{escape(printable(line.title))}</title>{path}{head}</g>"


def _text(x: float, y: float, text: str, colour: str, *, small: bool = False) -> str:
    size = "10.5" if small else "12"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" style="fill:{colour}">'
        f"{escape(text)}</text>"
    )


# -- letters


def printable(text: str) -> str:
    """Return text in which what has no shape is written out; XML takes no control codes."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _shown(label: str) -> str:
    """Return a label that fits into a box, its middle left out if need be."""
    text = printable(label)
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]}…{text[-half + 1 :]}"


def _width(box: Box) -> float:
    label = _cells(_shown(box.label)) * _PITCH
    return max(label, _cells(box.below) * _SMALL_PITCH) + 2 * _PAD


def _cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
