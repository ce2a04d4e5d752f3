"""Plots: the same bytes each time, safe to stand in a page, and drawn where the values are."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from harness.board.computing import board_table
from harness.board.definition import default_definition
from harness.board.table import RECALL_AT, RowTable, Section, Value
from harness.board.words import number
from harness.report import plots
from harness.report.plots.fit_logs import course, kind_of
from harness.report.plots.layout import LONGEST, Scale, scale, shortened, spread
from harness.report.plots.palette import VARIABLES
from harness.slices import SliceRow
from tests.boards import made_record, stored

SVG = "{http://www.w3.org/2000/svg}"
METRICS = ("NDCG@10", "Recall@1", "Recall@10", "MRR")
NASTY = "<script>&\"'$a_b$"
LABELS = (
    "sasrec", "calrec", NASTY, "popularity", "lir", "gru4rec", "bert4rec", "narm", "stamp", "fpmc",
    "random", "calrec with a very long list of settings lr=0.001",
)  # fmt: skip


def _row(label, place=0, **changes):
    middle = 0.2 / (place + 1)
    values = {
        metric: Value(middle + 0.01, middle, middle, middle - 0.02, middle + 0.03, None, (), "a")
        for metric in METRICS
    }
    recall = tuple(min(1.0, middle * (1 + math.log(k))) for k in RECALL_AT)
    row = RowTable(
        label=label, status="ok", reason=None, title=label, paper="", inputs=(), seeds=(0,),
        note="", n_users=9, values=values, comparisons={}, tie_rate=0.0, gap_exceeds=False,
        not_learnt=False, cost={"fit_s": 3.0**place, "score_s": 0.5, "parameters": 10.0**place},
        device="cpu", recall={"pessimistic": recall, "optimistic": tuple(1.1 * r for r in recall)},
        records={},
    )  # fmt: skip
    return dataclasses.replace(row, **changes)


def _section(*rows):
    return Section({"name": "tiny", "title": f"Tiny {NASTY}"}, {}, rows, {}, None)


def _failed(label="broken"):
    return _row(label, status="failed", values={}, cost={}, recall={}, tie_rate=None)


def _log(n=30, **more):
    return [
        {"epoch": n_, "loss": 7 / (n_ + 1), "validation_ndcg10": n_ / 100, "seconds": 3.0} | more
        for n_ in range(1, n + 1)
    ]


def _slices(place):
    middle = 0.3 / (place + 1)
    return [
        SliceRow("all users", 1234, 1.0, middle, middle - 0.02, middle + 0.03, None),
        SliceRow("nobody", 0, 0.0, None, None, None, "no users"),
        *(
            SliceRow(f"history: {n} events", n, 0.1, middle, middle - 0.1, middle + 0.1, None)
            for n in range(1, 14)
        ),
    ]


def _every(section, prefix=""):
    """Return each plot of a section by its name."""
    labels = [row.label for row in section.rows if row.status == "ok"]
    ranks = {label: 2 + 0.3 * place for place, label in enumerate(labels)}
    logs = {label: {seed: _log() for seed in range(3)} for label in labels}
    slices = {label: _slices(place) for place, label in enumerate(labels)}
    return {
        "intervals": plots.metric_intervals(section, METRICS, prefix=f"{prefix}a"),
        "ties": plots.tie_gaps(section, METRICS, prefix=f"{prefix}b"),
        "ranks": plots.critical_difference(
            ranks, plots.groups_of(section, "MRR"), f"Mean rank {NASTY}", prefix=f"{prefix}c"
        ),
        "recall": plots.recall_curves(section, prefix=f"{prefix}d"),
        "training": plots.training_curves(logs, prefix=f"{prefix}e"),
        "costs": plots.cost_against_quality(section, "MRR", prefix=f"{prefix}f"),
        "slices": plots.slice_values(slices, "MRR", prefix=f"{prefix}g"),
    }


TWELVE = _section(*(_row(label, place) for place, label in enumerate(LABELS)), _failed())


@pytest.fixture(scope="module")
def twelve():
    return _every(TWELVE)


def _texts(svg, part=None):
    return [
        element.text
        for element in ET.fromstring(svg).iter(f"{SVG}text")
        if part is None or element.get("data-part") == part
    ]


def _path(svg, part):
    """Return each stretch of the paths of a part as absolute points."""
    stretches = []
    for element in ET.fromstring(svg).iter(f"{SVG}path"):
        if element.get("data-part") != part:
            continue
        for command, x, y in re.findall(
            r"([Ml])(-?[\d.]+)(?:\s|(?=-))(-?[\d.]+)", element.get("d")
        ):
            point = (float(x), float(y))
            if command == "M":
                stretches.append([point])
            else:
                before = stretches[-1][-1]
                stretches[-1].append((before[0] + point[0], before[1] + point[1]))
    return stretches


# ---- what holds of every plot --------------------------------------------------------------------


def test_two_calls_give_the_same_bytes(twelve):
    assert _every(TWELVE) == twelve


def test_a_matplotlibrc_of_the_user_changes_nothing(twelve):
    import matplotlib as mpl

    changed = {
        "svg.fonttype": "path",
        "font.size": 31,
        "lines.linewidth": 9,
        "path.sketch": (1, 2, 3),
    }
    with mpl.rc_context(changed):
        again = _every(TWELVE)
        assert {key: mpl.rcParams[key] for key in changed} == changed
    assert again == twelve


def test_every_plot_is_one_svg_element_with_a_title(twelve):
    for svg in twelve.values():
        root = ET.fromstring(svg)
        assert svg.startswith("<svg ")
        assert (root.tag, root.get("role"), root.get("width")) == (f"{SVG}svg", "img", "100%")
        assert root[0].tag == f"{SVG}title"
        assert root[0].text == root.get("aria-label") != ""
        assert re.fullmatch(r"0 0 \d+(\.\d)? \d+(\.\d)?", root.get("viewBox"))
        tags = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert tags <= {"svg", "title", "g", "path", "text", "use", "defs", "clipPath", "rect"}


def test_words_of_users_cannot_become_markup(twelve):
    for svg in twelve.values():
        assert "<script" not in svg
        assert NASTY in " ".join(ET.fromstring(svg).itertext())


def test_colours_are_variables_that_the_palette_defines(twelve):
    defined = set(re.findall(r"(--[a-z0-9-]+):", plots.PALETTE_CSS))
    assert defined == set(VARIABLES.values())
    used = {name for svg in twelve.values() for name in re.findall(r"var\((--[a-z0-9-]+)\)", svg)}
    assert used == defined
    assert not any(re.search(r"#[0-9a-f]{6}", svg) for svg in twelve.values())
    assert plots.PALETTE_CSS.count(":root{") == 3


def _linear(colour):
    told = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(told <= 0.04045, told / 12.92, ((told + 0.055) / 1.055) ** 2.4)


def _oklab(linear):
    cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    axes = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.array(axes) @ np.cbrt(np.array(cones) @ np.clip(linear, 0, 1))


# what is seen without one kind of cone: Machado, Oliveira and Fernandes, 2009, severity 1
SIGHTS = {
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                 [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


@pytest.mark.parametrize("block", [0, 1])
def test_colours_stand_out_from_the_surface_and_from_one_another(block):
    told = dict(re.findall(r"--([a-z0-9-]+):(#\w{6})", plots.PALETTE_CSS.split("@media")[block]))
    surface = _linear(told["surface"]) @ [0.2126, 0.7152, 0.0722]
    drawn = [told[f"series-{n}"] for n in range(1, 13)]
    for colour in (*drawn, told["ink"], told["muted"]):
        pair = sorted((surface, _linear(colour) @ [0.2126, 0.7152, 0.0722]))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 3, colour
    for sight, seen in SIGHTS.items():
        places = [_oklab(np.array(seen) @ _linear(colour)) for colour in drawn]
        apart = [np.linalg.norm(a - b) for a, b in itertools.combinations(places, 2)]
        assert min(apart) >= (0.12 if sight == "all" else 0.06), sight


def test_a_label_that_reads_like_a_colour_stays_as_it_is():
    svg = plots.metric_intervals(_section(_row("#010102")), METRICS)
    assert _texts(svg, "label") == ["#010102"]


def test_ids_differ_between_prefixes():
    first, second = _every(TWELVE, "x"), _every(TWELVE, "y")
    ids = [
        element.get("id")
        for svg in (*first.values(), *second.values())
        for element in ET.fromstring(svg).iter()
        if element.get("id") is not None
    ]
    assert len(ids) == len(set(ids))


def test_ids_that_are_referred_to_are_kept_and_renamed_together():
    from harness.report.plots.svg import _cut_down

    raw = (
        '<svg xmlns="http://www.w3.org/2000/svg"><g id="a"><path id="b" d="M 1 2" '
        'clip-path="url(#c)"/></g><defs><clipPath id="c"><rect x="1.26"/></clipPath></defs></svg>'
    )
    found = _cut_down(raw, "t", "q", 10, 10)
    assert '<path d="M1 2" clip-path="url(#q-1)"/>' in found
    assert '<clipPath id="q-1"><rect x="1.3"/>' in found
    assert 'id="a"' not in found


def test_sizes_are_bounded(twelve):
    sizes = {name: len(svg.encode()) for name, svg in twelve.items()}
    assert max(sizes.values()) <= 25_000, sizes


def test_every_label_is_there_and_failed_rows_are_not(twelve):
    for name, svg in twelve.items():
        told = _texts(svg, "label")
        if name == "ranks":
            told = [label.rpartition(" ")[0] for label in told]
        assert set(told) == {shortened(label) for label in LABELS}, name
        assert "broken" not in svg


def test_sections_without_numbers_say_so():
    for section in (_section(), _section(_failed())):
        for name, svg in _every(section).items():
            if name == "training":
                assert svg is None
            else:
                assert _texts(svg) == ["No row has numbers to draw."]


def test_one_row_is_enough():
    for svg in _every(_section(_row("alone"))).values():
        ET.fromstring(svg)
        assert "alone" in svg
        assert "nan" not in svg


def test_rows_of_made_records_are_drawn(tmp_path):
    made = [
        made_record("toy", optimistic=[1, 2, 4], pessimistic=[1, 3, 9]),
        made_record("one", optimistic=[50, 60, 70]),
        made_record("bad", status="failed", optimistic=[1, 1, 1]),
    ]
    records = stored(tmp_path, made)
    section = board_table(default_definition("tiny"), records, "refused").sections[0]
    for svg in _every(section).values():
        assert {"toy", "one"} <= {text.split(" ")[0] for text in _texts(svg)}


# ---- layout --------------------------------------------------------------------------------------


def test_long_labels_keep_both_ends():
    assert shortened("sasrec") == "sasrec"
    long = shortened("calrec with a very long list of settings lr=0.001")
    assert (len(long), long) == (LONGEST, "calrec with a ver…s lr=0.001")
    assert shortened("a\nb\x00c\ud800") == "a b c "


def test_labels_are_spread_in_order():
    placed = spread([5.0, 5.0, 4.0, 50.0], 10, 0, 100)
    assert placed == [14.0, 24.0, 4.0, 50.0]
    assert spread([99.0, 98.0], 10, 0, 100) == [100.0, 90.0]
    assert spread([1.0, 2.0, 3.0], 10, 0, 10) == [0.0, 5.0, 10.0]
    assert spread([], 10, 0, 1) == []


def test_scales():
    assert Scale(1, 100, 0, 10, log=True)(10) == pytest.approx(5)
    assert Scale(0.1, 1000, 0, 400, log=True).ticks(50) == [0.1, 1, 10, 100, 1000]
    assert Scale(0, 1, 0, 100).ticks(40) == pytest.approx([0, 0.5, 1])
    for room in (38, 30):
        for high in np.geomspace(0.003, 7, 40):
            ticks = Scale(0, high, 0, 77).ticks(room)
            assert ticks == sorted(ticks)
            assert len(ticks) > 1
            assert all((b - a) / high * 77 >= room for a, b in itertools.pairwise(ticks))
    flat = scale([0.3, 0.3], 0, 10)
    assert flat.low < 0.3 < flat.high
    assert (scale([], 0, 1).low, scale([0.0], 0, 1).high) == (-1.0, 1.0)


# ---- values --------------------------------------------------------------------------------------


def test_intervals_stand_at_their_values():
    rows = [_row(label, place) for place, label in enumerate("abc")]
    svg = plots.metric_intervals(_section(*rows), ["MRR"])
    ends = _path(svg, "intervals MRR")
    means = [dot[0] for dot in _path(svg, "means MRR")]
    assert [y for _, y in means] == sorted(y for _, y in means)
    # pixels are a straight line of values: that through the first row's ends
    (first, _), (last, _) = ends[0]
    perpixel = (rows[0].values["MRR"].high - rows[0].values["MRR"].low) / (last - first)
    for row, pair, dot in zip(rows, ends, means, strict=True):
        value = row.values["MRR"]
        told = [value.low, value.high, value.pessimistic]
        at = [pair[0][0], pair[1][0], dot[0]]
        found = [rows[0].values["MRR"].low + perpixel * (x - first) for x in at]
        assert found == pytest.approx(told, abs=2 * 0.1 * perpixel)
        assert {pair[0][1], pair[1][1]} == {dot[1]}
    assert _texts(svg, "number") == [number(row.values["MRR"].pessimistic) for row in rows]


def test_a_value_without_an_interval_is_a_dot():
    value = Value(0.1, 0.1, 0.1, None, None, "one user only, nothing can vary")
    svg = plots.metric_intervals(_section(_row("a", values={"MRR": value})), ["MRR", "NDCG@10"])
    assert _path(svg, "intervals MRR") == []
    assert len(_path(svg, "means MRR")) == 1
    assert _texts(svg, "metric") == ["MRR", "NDCG@10"]


def test_ties_reach_from_pessimistic_to_optimistic():
    svg = plots.tie_gaps(_section(_row("a"), _row("b", 1)), ["MRR"])
    for gap, low, high in zip(
        *(_path(svg, f"{part} MRR") for part in ("gaps", "pessimistic", "optimistic")), strict=True
    ):
        assert gap == [low[0], high[0]]
        assert low[0][0] < high[0][0]


# ---- ranks ---------------------------------------------------------------------------------------


def test_mean_ranks_by_hand():
    values = {
        "a": np.array([0.9, 0.5, 0.0]),
        "b": np.array([0.3, 0.5, 0.0]),
        "c": np.array([0.6, 0.1, 0.0]),
    }
    # users: a 1, c 2, b 3; a and b 1.5 each, c 3; all 2
    assert plots.mean_ranks(values) == pytest.approx({"a": 4.5 / 3, "b": 6.5 / 3, "c": 7 / 3})
    assert plots.mean_ranks({}) == {}
    with pytest.raises(ValueError, match=r"same users.*\[2, 3\]"):
        plots.mean_ranks({"a": np.zeros(2), "b": np.zeros(3)})


def test_groups_by_hand():
    letters = {"a": "a", "b": "ab", "c": "b", "d": "C", "e": "", "f": "b"}
    rows = [
        _row(label, values={"MRR": dataclasses.replace(_row("x").values["MRR"], group=group)})
        for label, group in letters.items()
    ]
    assert plots.groups_of(_section(*rows, _failed()), "MRR") == [["a", "b"], ["b", "c", "f"]]
    assert plots.groups_of(_section(*rows), "NDCG@10") == []


def test_ranks_stand_in_order_and_bars_join_groups():
    ranks = {"a": 1.2, "b": 1.9, "c": 2.6, "d": 3.8}
    groups = [["a", "b"], ["b", "c"], ["c", "d"], ["d"], ["gone", "a"]]
    svg = plots.critical_difference(ranks, groups, "Mean rank")
    (axis,) = _path(svg, "axis")
    stems = sorted(stem[0][0] for stem in _path(svg, "rank"))
    pitch = (axis[1][0] - axis[0][0]) / 3
    found = [1 + (x - axis[0][0]) / pitch for x in stems]
    assert found == pytest.approx(sorted(ranks.values()), abs=0.01)
    bars = _path(svg, "groups")
    assert [(bar[0][0] < stems[n], bar[1][0] > stems[n + 1]) for n, bar in enumerate(bars)] == [
        (True, True)
    ] * 3
    heights = [bar[0][1] for bar in bars]
    assert heights[0] != heights[1] != heights[2]
    assert heights[0] == heights[2]  # bars that do not meet share a line
    assert sorted(_texts(svg, "label")) == ["a 1.2000", "b 1.9000", "c 2.6000", "d 3.8000"]


def test_a_row_that_a_bar_passes_has_no_dot_on_it():
    ranks = {"a": 1.0, "b": 2.0, "c": 3.0}
    svg = plots.critical_difference(ranks, [["c", "a"]], "Mean rank")
    first, _, last = sorted(stem[0][0] for stem in _path(svg, "rank"))
    (bar,) = _path(svg, "groups")
    assert bar[0][0] < first < last < bar[1][0]
    assert [dot[0][0] for dot in _path(svg, "members")] == pytest.approx([first, last], abs=0.1)


def test_labels_of_ranks_do_not_overlap(twelve):
    ends = [(stem[2][1], stem[2][0] < 380) for stem in _path(twelve["ranks"], "rank")]
    for side in (True, False):
        ys = sorted(y for y, at_left in ends if at_left is side)
        assert min(b - a for a, b in itertools.pairwise(ys)) >= 15


# ---- recall, costs, slices -----------------------------------------------------------------------


def test_recall_rises_to_the_right(twelve):
    (curve,) = _path(twelve["recall"], "recall sasrec")
    assert len(curve) == len(RECALL_AT)
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in itertools.pairwise(curve))
    steps = [(x - curve[0][0]) / math.log(k) for (x, _), k in zip(curve, RECALL_AT, strict=True)
             if k > 1]  # fmt: skip
    assert steps == pytest.approx([steps[-1]] * len(steps), abs=0.2)


def test_costs_stand_in_order_and_unknown_ones_are_counted():
    rows = [_row(label, place) for place, label in enumerate("abc")]
    free = _row("free", cost={"fit_s": 0.0, "score_s": 0.0})
    section = _section(*rows, _row("unknown", cost={"score_s": 1.0}), free)
    svg = plots.cost_against_quality(section, "MRR")
    at = [_path(svg, f"row {label}")[0][0] for label in "abc"]
    assert at == sorted(at)  # dearer to the right, and each below the one before it
    assert [y for _, y in at] == sorted(y for _, y in at)
    assert _texts(svg, "label") == ["a", "b", "c"]
    assert _texts(svg, "note") == ["2 rows without a known cost left out."]
    only = plots.cost_against_quality(_section(free), "MRR")
    assert _texts(only) == ["1 row without a known cost left out."]


def test_labels_of_equal_costs_do_not_cover_one_another():
    rows = [_row(f"label number {n}", 1) for n in range(6)]
    root = ET.fromstring(plots.cost_against_quality(_section(*rows), "MRR"))
    boxes = [
        (float(element.get("x")), float(element.get("y")))
        for element in root.iter(f"{SVG}text")
        if element.get("data-part") == "label"
    ]
    for (x, y), (other_x, other_y) in itertools.combinations(boxes, 2):
        assert abs(x - other_x) > 60 or abs(y - other_y) > 8


def test_slices_have_a_line_for_each_row_and_their_size():
    svg = plots.slice_values({"a": _slices(0), "b": _slices(1)}, "MRR")
    names = _texts(svg, "slice")
    assert names[:3] == ["all users (n 1,234)", "nobody (n 0)", "history: 1 events (n 1)"]
    for label in "ab":
        intervals, means = _path(svg, f"intervals {label}"), _path(svg, f"means {label}")
        assert len(intervals) == len(means) == len(names) - 1
        for (low, high), (dot, _) in zip(intervals, means, strict=True):
            assert low[0] < dot[0] < high[0]
            assert low[1] == high[1] == pytest.approx(dot[1], abs=0.11)
    a, b = (_path(svg, f"means {label}")[0][0] for label in "ab")
    assert (a[0] > b[0], a[1] < b[1]) == (True, True)


# ---- training ------------------------------------------------------------------------------------


def test_what_of_a_log_is_drawn():
    told = {"loss": "loss", "token_loss": "loss", "nig_token_mean": "loss",
            "validation_ndcg10": "validation", "epoch": None, "seconds": None,
            "night": None}  # fmt: skip
    assert {key: kind_of(key) for key in told} == told


def test_stages_follow_one_another_and_what_is_no_number_is_skipped():
    log = [
        {"stage": "first", "epoch": 1, "token_loss": 2.5},
        {"stage": "first", "epoch": 3, "token_loss": 0.9},
        {"stage": "then", "epoch": 0, "validation_ndcg10": 0.05, "token_loss": None},
        {"stage": "then", "epoch": 1, "validation_ndcg10": math.nan, "loss": True},
        {"stage": "then", "epoch": 2, "validation_ndcg10": 0.07, "note": "loss"},
    ]
    found = course({0: log, 4: []})
    assert found.position == "epoch"
    assert [(s.name, s.first, s.last, s.start) for s in found.stages] == [
        ("first", 1, 3, 0), ("then", 0, 2, 3),
    ]  # fmt: skip
    assert [(c.key, c.xs, c.ys) for c in found.curves] == [
        ("token_loss", (0, 2), (2.5, 0.9)), ("validation_ndcg10", (3, 5), (0.05, 0.07)),
    ]  # fmt: skip
    svg = plots.training_curves({"calrec": {0: log}})
    assert {"first: epoch", "then: epoch", "token_loss", "validation_ndcg10"} <= set(_texts(svg))
    assert len(_path(svg, "stage")) == 1


@pytest.mark.parametrize(
    ("lines", "position"),
    [
        ([{"step": 10, "loss": 1.0}, {"step": 20, "loss": 0.5}], "step"),
        ([{"loss": 1.0}, {"loss": 0.5}], "line"),
        ([{"epoch": 1, "loss": 1.0}, {"loss": 0.5}], "line"),
    ],
)
def test_what_the_axis_counts(lines, position):
    assert course({0: lines}).position == position
    assert position in _texts(plots.training_curves({"a": {0: lines}}))


def test_logs_without_numbers_give_no_plot():
    assert plots.training_curves({}) is None
    assert plots.training_curves({"a": {0: []}, "b": {0: [{"epoch": 1, "loss": None}]}}) is None


def test_each_seed_is_a_line_and_falling_losses_fall():
    svg = plots.training_curves({"a": {0: _log(), 1: _log(10)}, "none": {0: []}})
    losses = _path(svg, "loss loss")
    assert [len(line) for line in losses] == [30, 10]
    assert all(a[0] < b[0] and a[1] <= b[1] for a, b in itertools.pairwise(losses[0]))
    assert _texts(svg, "label") == ["a"]


def test_long_logs_are_thinned_and_say_so():
    svg = plots.training_curves({"a": {seed: _log(5000) for seed in range(3)}})
    assert len(svg) < 25_000
    assert _texts(svg, "note") == [
        "At most 150 points of each line are drawn, evenly spaced, ends included."
    ]


def test_a_log_of_one_line_is_a_dot():
    svg = plots.training_curves({"a": {0: [{"epoch": 4, "loss": 2.0}]}})
    assert len(_path(svg, "loss loss")) == 1
    assert "4" in _texts(svg)
