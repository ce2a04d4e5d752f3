"""A surface measured in pixels, drawn by matplotlib, and the SVG text that a page takes in.

matplotlib's output is cut down: no header, no metadata, no ids but those that are referred to, one
decimal, colours as CSS variables, fonts inherited. Text stays text.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon

from harness.report.plots.palette import INK, MUTED, SURFACE, VARIABLES

SMALL = 9.0
NORMAL = 10.0
SVG_NAMESPACE = "http://www.w3.org/2000/svg"
PART = "part."
"""Begins the gid of what is drawn under a name; the name becomes the attribute ``data-part``."""

Anchor = Literal["left", "center", "right"]

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sequential-harness",
    "text.parse_math": False,
    "path.simplify": False,
    "lines.scale_dashes": False,
    "font.family": ["DejaVu Sans"],
}
_DEFAULTS = {
    "stroke-linejoin": "round", "stroke-linecap": "butt", "text-anchor": "start",
    "stroke-dashoffset": "0", "opacity": "1", "font-size": f"{SMALL:g}px", "fill": MUTED,
}  # fmt: skip
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_COLOUR = re.compile("|".join(VARIABLES))
_REFERENCE = re.compile(r"#([^)\s]+)")
_STEP = re.compile(r"([MLz])(?:\s+(\S+)\s+(\S+))?")
_NOT_TURNED = re.compile(r"rotate\(-?0(?:\.0+)? [^)]*\)")


@contextmanager
def house_style() -> Iterator[None]:
    """Draw by our settings, whatever the user's matplotlibrc says; also a decorator."""
    with mpl.rc_context(), warnings.catch_warnings():
        # a glyph that matplotlib's own font lacks is drawn by the reader's
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


class Surface:
    """Something to draw on; x and y are pixels from the top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        FigureCanvasSVG(self._figure)
        self._figure.patch.set_visible(False)
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_xlim(0, width)
        self._axes.set_ylim(height, 0)
        self._axes.set_axis_off()

    def line(
        self, xs: Sequence[float], ys: Sequence[float], colour: str, width: float = 1.0,
        dashes: tuple[float, ...] | None = None, part: str | None = None, *,
        opacity: float | None = None, round_ends: bool = False,
    ) -> None:  # fmt: skip
        """Draw a line; NaN interrupts it."""
        cap: Literal["round", "butt"] = "round" if round_ends else "butt"
        drawn = Line2D(
            xs, ys, color=colour, linewidth=width, alpha=opacity, solid_capstyle=cap,
            dash_capstyle="butt", solid_joinstyle="round", dash_joinstyle="round", clip_on=False,
            linestyle="-" if dashes is None else (0, dashes),
        )  # fmt: skip
        drawn.set_gid(None if part is None else PART + part)
        self._axes.add_artist(drawn)

    def segments(
        self, from_xs: Sequence[float], from_ys: Sequence[float], to_xs: Sequence[float],
        to_ys: Sequence[float], colour: str, width: float = 1.0, part: str | None = None, *,
        round_ends: bool = False,
    ) -> None:  # fmt: skip
        """Draw straight lines that do not touch, as one path."""
        if not from_xs:
            return
        gap = float("nan")
        xs = [x for pair in zip(from_xs, to_xs, strict=True) for x in (*pair, gap)]
        ys = [y for pair in zip(from_ys, to_ys, strict=True) for y in (*pair, gap)]
        self.line(xs, ys, colour, width, part=part, round_ends=round_ends)

    def dots(
        self, xs: Sequence[float], ys: Sequence[float], colour: str, size: float,
        part: str | None = None,
    ) -> None:  # fmt: skip
        """Draw discs as one path: lines without length, with round ends."""
        self.segments(xs, ys, xs, ys, colour, size, part, round_ends=True)

    def rings(
        self, xs: Sequence[float], ys: Sequence[float], colour: str, size: float,
        part: str | None = None,
    ) -> None:  # fmt: skip
        """Draw discs that are empty inside."""
        self.dots(xs, ys, colour, size, part)
        self.dots(xs, ys, SURFACE, size - 3)

    def disc(self, x: float, y: float, radius: float, colour: str, part: str | None = None) -> None:
        """Draw one disc that lets others shine through."""
        self.line([x, x], [y, y], colour, 2 * radius, part=part, opacity=0.6, round_ends=True)

    def band(
        self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str,
        part: str | None = None,
    ) -> None:  # fmt: skip
        """Fill between two lines."""
        corners = [*zip(xs, low, strict=True), *reversed(list(zip(xs, high, strict=True)))]
        drawn = Polygon(corners, facecolor=colour, edgecolor="none", alpha=0.22)
        drawn.set_clip_on(False)
        drawn.set_gid(None if part is None else PART + part)
        self._axes.add_artist(drawn)

    def text(
        self, x: float, y: float, words: str, colour: str = INK, size: float = NORMAL,
        anchor: Anchor = "left", part: str | None = None, *, turned: float = 0.0,
        bold: bool = False,
    ) -> None:  # fmt: skip
        """Write words with their middle at height y."""
        drawn = self._axes.text(
            # a third of the height down: the middle of small letters and digits
            x, y + (0.0 if turned else 0.35 * size), words, color=colour, fontsize=size, ha=anchor,
            va="center" if turned else "baseline", rotation=turned, parse_math=False,
            clip_on=False, fontweight="bold" if bold else "normal",
        )  # fmt: skip
        drawn.set_gid(None if part is None else PART + part)

    def note(self, words: str) -> None:
        """Write a sentence at the lower edge."""
        self.text(4, self.height - 8, words, MUTED, SMALL, part="note")

    def svg(self, title: str, prefix: str) -> str:
        """Return the drawing as an element to stand in a page.

        Args:
            title: what it shows, for those who do not see it.
            prefix: begins every id.
        """
        stream = io.StringIO()
        self._figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
        return _cut_down(stream.getvalue(), printable(title), prefix, self.width, self.height)


def printable(words: str) -> str:
    """Return words without what XML cannot hold or a line cannot show."""
    return "".join(letter if letter.isprintable() else " " for letter in words)


# ---- from matplotlib's SVG to ours ---------------------------------------------------------------


def _cut_down(text: str, title: str, prefix: str, width: float, height: float) -> str:
    root = ET.fromstring(text)  # noqa: S314 - matplotlib's own output
    ids = {name: f"{prefix or 'plot'}-{n}" for n, name in enumerate(_referred_to(root), start=1)}
    root.tag = "svg"
    root.attrib.clear()
    root.attrib.update(
        {
            "xmlns": SVG_NAMESPACE, "role": "img", "aria-label": title, "width": "100%",
            "viewBox": f"0 0 {width:g} {height:g}",
            "style": f"max-width:{width:g}px;font:{SMALL:g}px sans-serif;fill:var(--muted);"
            "stroke-linejoin:round",
        }
    )  # fmt: skip
    root[:] = _children(root, ids)
    root.text = root.tail = None
    root.insert(0, ET.Element("title"))
    root[0].text = title
    # a ">" within text or an attribute is written &gt;, so this meets tags only
    return ET.tostring(root, encoding="unicode").replace(" />", "/>")


def _referred_to(root: ET.Element) -> list[str]:
    """Return the ids that something refers to, in the order in which they appear."""
    used = {
        name
        for element in root.iter()
        for key, value in element.attrib.items()
        if "url(#" in value or key.endswith("href")
        for name in _REFERENCE.findall(value)
    }
    return [name for element in root.iter() if (name := element.get("id")) in used and name]


def _children(element: ET.Element, ids: dict[str, str]) -> list[ET.Element]:
    """Return an element's children, cleaned; groups that say nothing give way to theirs."""
    kept: list[ET.Element] = []
    for child in element:
        tag = child.tag.rpartition("}")[2]
        if tag in ("metadata", "style"):  # a style element would reach out into the page
            continue
        child.tag, child.tail = tag, None
        _clean(child, ids)
        child[:] = _children(child, ids)
        if tag in ("g", "defs"):
            child.text = None
            if len(child) == 1 and tag == "g" and not set(child.attrib) & set(child[0].attrib):
                child[0].attrib.update(child.attrib)
                child.attrib.clear()
            if not child.attrib and (tag == "g" or not len(child)):
                kept.extend(child)
                continue
        kept.append(child)
    return kept


def _clean(element: ET.Element, ids: dict[str, str]) -> None:
    found = dict(element.attrib)
    element.attrib.clear()
    for full, value in found.items():
        key = full.rpartition("}")[2]
        if key == "id":
            if value.startswith(PART):
                element.set("data-part", value.removeprefix(PART))
            elif value in ids:
                element.set("id", ids[value])
            continue
        told = _style(value) if key == "style" else _shorter(key, value)
        if told:
            element.set(key, _REFERENCE.sub(lambda m: "#" + ids.get(m[1], m[1]), told))


def _style(value: str) -> str:
    kept = []
    for declaration in value.split(";"):
        name, _, said = (part.strip() for part in declaration.partition(":"))
        if not name or name == "font-family" or _DEFAULTS.get(name) == said:
            continue
        if name == "font":  # matplotlib's short form: weight, size and family at once
            size = re.search(r"[\d.]+px", said)
            kept += ["font-weight:bold"] if "bold" in said or "700" in said else []
            kept += [f"font-size:{size[0]}"] if size else []
            continue
        said = _COLOUR.sub(lambda m: f"var({VARIABLES[m[0]]})", said)
        kept.append(f"{name}:{_NUMBER.sub(_tidy, said)}")
    return ";".join(kept)


def _shorter(key: str, value: str) -> str:
    value = _NOT_TURNED.sub("", value) if key == "transform" else value
    return _path(value) if key == "d" else _NUMBER.sub(_rounded, " ".join(value.split()))


def _path(value: str) -> str:
    """Return a path of straight lines with one decimal, each point as its distance from the last.

    Distances are between rounded points, so that rounding does not add up.
    """
    told, x, y = [], 0, 0
    for command, right, down in _STEP.findall(value):
        if command == "z":
            told.append("z")
            continue
        new_x, new_y = round(10 * float(right)), round(10 * float(down))
        if command == "M":
            told.append(f"M{_tenths(new_x)} {_tenths(new_y)}")
        else:
            told.append(f"l{_tenths(new_x - x)} {_tenths(new_y - y)}")
        x, y = new_x, new_y
    return "".join(told).replace(" -", "-")


def _tenths(n: int) -> str:
    return f"{n / 10:g}"


def _rounded(found: re.Match[str]) -> str:
    told = f"{float(found[0]):.1f}".removesuffix(".0")
    return "0" if told == "-0" else told


def _tidy(found: re.Match[str]) -> str:
    return f"{float(found[0]):g}"
