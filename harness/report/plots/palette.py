"""The colours of plots: named while drawing, chosen by the page.

A plot names colours by values that nobody would draw with; `harness.report.plots.svg` replaces them
by the CSS variables below, so that one drawing serves light, dark and paper.
"""

from __future__ import annotations

INK = "#010001"
MUTED = "#010002"
GRID = "#010003"
SURFACE = "#010004"
N_SERIES = 12
SERIES = tuple(f"#0101{number:02x}" for number in range(1, N_SERIES + 1))

VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", SURFACE: "--surface"} | {
    colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)
}

DASHES: tuple[tuple[float, ...] | None, ...] = (None, (5, 2), (2, 2), (7, 2, 2, 2))

_Colours = dict[str, str | tuple[str, ...]]

# Found by search: against the surface at least 3 to 1, and all twelve apart for people who see all
# colours, no red, no green or no blue (the first six further; tests/unit/report/test_plots.py).
_LIGHT: _Colours = {
    "ink": "#1b1f24", "muted": "#59636e", "grid": "#dfe3e8", "surface": "#ffffff",
    "series": (
        "#0072b2", "#d55e00", "#1302db", "#1a612b", "#b373f6", "#c20c8b",
        "#b5050f", "#50384d", "#ac7491", "#6ca168", "#730091", "#7b27ff",
    ),
}  # fmt: skip
_DARK: _Colours = {
    "ink": "#e8ecf1", "muted": "#9aa4af", "grid": "#343b44", "surface": "#14181d",
    "series": (
        "#56b4e9", "#ff8c42", "#8aff81", "#4757d4", "#7c6c4a", "#ffe2ff",
        "#bdc3fd", "#9279e2", "#d46ca3", "#fedb16", "#83d3b3", "#c3440c",
    ),
}  # fmt: skip


def _block(colours: _Colours) -> str:
    told = [f"--{name}:{value}" for name, value in colours.items() if isinstance(value, str)]
    told += [f"--series-{n}:{value}" for n, value in enumerate(colours["series"], start=1)]
    return ":root{" + ";".join(told) + "}"


PALETTE_CSS = "\n".join(
    (
        _block(_LIGHT),
        "@media (prefers-color-scheme: dark){" + _block(_DARK) + "}",
        "@media print{" + _block(_LIGHT) + "}",
    )
)
"""What a page must define for its plots: light, dark, and light again on paper."""


def series(number: int) -> str:
    """Return the colour of the n-th row, 0 first; after twelve they begin again."""
    return SERIES[number % N_SERIES]


def dashes(number: int) -> tuple[float, ...] | None:
    """Return the n-th row's dashes, which tell rows apart where colours do not."""
    return DASHES[(number + number // N_SERIES) % len(DASHES)]
