"""How a board's numbers and marks are worded; shared by every renderer."""

from __future__ import annotations

from harness.board.table import BoardTable, Improvement, RowTable, Section, Value
from harness.metrics import SELECTION_METRIC
from harness.protocol import GATE

DIGITS = 4
NOT_LEARNT = "†"
GAP = "‡"
BOUNDS = ("optimistic", "pessimistic")
MIB = 1 << 20
FEWER_SEEDS = (
    "Tests are over the seeds that both rows have: 'over seeds' names them where a value above is "
    "over others too."
)


def number(value: float) -> str:
    """Return a metric as it is printed everywhere."""
    return f"{value:.{DIGITS}f}"


def interval(low: float | None, high: float | None, signed: bool = False) -> str:
    """Return the ends of an interval, or nothing where there is none."""
    if low is None or high is None:
        return ""
    sign = "+" if signed else ""
    return f"{low:{sign}.{DIGITS}f} to {high:{sign}.{DIGITS}f}"


def probability(p: float | None) -> str:
    """Return a p-value with two digits, or nothing where there is none."""
    if p is None:
        return ""
    return "< 1e-99" if p < 1e-99 else f"{p:.2g}"


def comparison(section: Section, row: RowTable, metric: str) -> str:
    """Return a difference, its interval and its corrected p-value, or why there is no test."""
    test = row.comparisons.get(metric)
    if test is None:
        return "reference"
    fewer = over_fewer_seeds(section, row, metric)
    if test.reason is not None or test.difference is None:
        return f"no test: {test.reason}{fewer}"
    return (
        f"{test.difference:+.{DIGITS}f} [{interval(test.low, test.high, signed=True)}], "
        f"p {probability(test.adjusted)}{fewer}"
    )


def over_fewer_seeds(section: Section, row: RowTable, metric: str) -> str:
    """Return which seeds a test is over, where these are not all of both rows; else nothing."""
    test = row.comparisons.get(metric)
    other = section.row(test.against) if test else None
    if test is None or other is None or not test.seeds or row.seeds == test.seeds == other.seeds:
        return ""
    return f", over seeds {','.join(map(str, test.seeds))}"


def improvement(found: Improvement | None) -> str:
    """Return how far a row is above the best other, both bounds."""
    if found is None:
        return ""
    told = [
        "no number" if (percent := found.percent[bound]) is None else f"{percent:+.1f} %"
        for bound in BOUNDS
    ]
    if found.over["optimistic"] == found.over["pessimistic"]:
        return f"{found.of} over {found.over['optimistic']}: {told[0]}/{told[1]}"
    return (
        f"{found.of}: {told[0]} over {found.over['optimistic']}/{told[1]} over "
        f"{found.over['pessimistic']}"
    )


def label(row: RowTable) -> str:
    """Return a row's label with the no-learning mark."""
    return f"{row.label} {NOT_LEARNT}" if row.not_learnt else row.label


def inputs(row: RowTable) -> str:
    """Return what a row saw; nothing where nothing is known of it."""
    return " + ".join(row.inputs) or ("" if row.status == "missing" else "none")


def seeds(row: RowTable) -> str:
    """Return a row's seeds."""
    return ",".join(map(str, row.seeds))


def tied(row: RowTable) -> str:
    """Return the tie rate, with a mark where ties move a metric further than its interval."""
    if row.tie_rate is None:
        return ""
    mark = f" {GAP}" if row.gap_exceeds else ""
    return f"{100 * row.tie_rate:.1f} %{mark}"


def seconds(row: RowTable, name: str) -> str:
    """Return a cost in seconds, or nothing where it is not known."""
    return f"{row.cost[name]:.1f}" if name in row.cost else ""


def parameters(row: RowTable) -> str:
    """Return the number of parameters, or nothing where it is not known."""
    return f"{row.cost['parameters']:,.0f}" if "parameters" in row.cost else ""


def memory(row: RowTable) -> str:
    """Return the peak of memory in MiB (the device's, where there was one), or nothing."""
    name = "peak_gpu_bytes" if "peak_gpu_bytes" in row.cost else "peak_memory_bytes"
    return f"{row.cost[name] / MIB:,.0f}" if name in row.cost else ""


def value(row: RowTable, metric: str) -> tuple[str, str] | None:
    """Return the optimistic and the pessimistic value as printed, None without numbers."""
    found = row.values.get(metric)
    return None if found is None else (number(found.optimistic), number(found.pessimistic))


def group(found: Value | None) -> str:
    """Return the letters of a value's groups."""
    return "" if found is None else found.group


# ---- sentences -----------------------------------------------------------------------------------


def facts(section: Section) -> list[str]:
    """Return what a data set and its protocol are, a paragraph each."""
    data, rules = section.dataset, section.protocol
    if not rules:
        return [f"{data['name']}: no records."]
    masked = "masked" if rules["history_masked"] else "not masked"
    sampled = " tested, a seeded sample (all are trained on)" if rules.get("test_sample") else ""
    return [
        f"{data['n_users']:,} users{sampled}, {data['n_items']:,} items, "
        f"{data['n_events']:,} events. Split {rules['split']}, dedup {rules['dedup']}, at least "
        f"{rules['min_user_events']} events a user; {rules['candidates']} are candidates, the "
        f"history is {masked}; models are selected by {rules['selection']}.",
        f"Split hash `{data['split_hash']}`. Data: {data['citation']} Licence: {data['licence']}",
    ]


def family(table: BoardTable) -> str:
    """Return which tests the board makes."""
    chosen = table.family
    against = "the one with the best value" if chosen.against == "best" else f"`{chosen.against}`"
    corrections = {
        "holm": "Holm's correction", "bonferroni": "Bonferroni's correction",
        "benjamini-hochberg": "the correction of Benjamini and Hochberg",
    }  # fmt: skip
    return (
        f"Tests: for each data set and metric, every row against {against} ({chosen.bound} "
        "ranks), by the paired t-test over users, with several seeds generalized to seeds, "
        f"two-sided, p-values by {corrections[chosen.correction]} within that family; intervals "
        "are 95 %, each by itself."
    )


def legend(table: BoardTable) -> list[str]:
    """Return one sentence for each mark and number of a board."""
    level = f"{table.family.level:g}"
    lines = [
        "Each metric cell is optimistic/pessimistic: a tied target counts as first/last of its "
        "tie. The best optimistic value is bold, the best pessimistic underlined.",
        "Letters: rows that share one cannot be told apart on that metric (all pairs tested and "
        f"corrected together, level {level}).",
        family(table),
        "Tied: share of users whose target shares its score with another item. "
        f"{GAP}: ties move a metric further than its 95 % interval reaches, or at all where it has "
        "none.",
    ]
    if any(
        over_fewer_seeds(section, row, metric)
        for section in table.sections
        for row in section.rows
        for metric in table.metrics
    ):
        lines.append(FEWER_SEEDS)
    for section in table.sections:
        where = f"{section.dataset['name']}: " if len(table.sections) > 1 else ""
        if section.not_judged:
            lines.append(f"{where}{section.not_judged}")
    if any(row.not_learnt for section in table.sections for row in section.rows):
        lines.append(
            f"{NOT_LEARNT} not above both {' and '.join(GATE)} in pessimistic "
            f"{SELECTION_METRIC.name}: this run has not shown that it learnt."
        )
    return lines


def troubles(section: Section) -> list[str]:
    """Return why rows have no numbers, or lack seeds."""
    return [
        f"{row.label}: {_STATUS.get(row.status, f'{row.status} ')}{row.reason}"
        for row in section.rows
        if row.reason is not None
    ]


_STATUS = {"ok": "", "missing": "missing: "}
"""What stands before a row's reason; that of a failure begins with its seed, in brackets."""
