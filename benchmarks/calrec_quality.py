"""CALRec's rows of a run folder against every published row, paired over the same test users.

A row that was tested on a sample (``run --test-users N``) is compared on its users: the published
rows of the whole data set were trained on the same events, so their ranks of these users are what a
test of the sample would give. Prints each row's four metrics, the paired difference to each of the
folder's rows in NDCG@10 and Recall@1 with its 95 % interval, and the paper's own row.

    python -m benchmarks.calrec_quality RUNS/scientific-test-300 --published scientific
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from harness.errors import DataError, HarnessError
from harness.leaderboard import read_records
from harness.metrics import METRICS, Metric
from harness.paper.facts import load_facts
from harness.paper.names import DATASETS
from harness.records import Record, verified_ranks
from harness.statistics.paired import paired_tests

BOUNDS = ("optimistic", "pessimistic")
COMPARED = ("NDCG@10", "Recall@1")
SEED = 0


@dataclass(frozen=True)
class Row:
    """One record's ranks, by user."""

    label: str
    record: Record
    users: NDArray[np.int64]
    ranks: dict[str, NDArray[np.int64]]

    def on(self, users: NDArray[np.int64]) -> Row:
        """Return the row on some of its users, in their order."""
        places = {int(user): place for place, user in enumerate(self.users)}
        if missing := [user for user in users.tolist() if user not in places]:
            raise DataError(f"{self.label} was not tested on user {missing[0]}: other data")
        rows = np.array([places[int(user)] for user in users])
        return Row(
            self.label, self.record, users,
            {bound: values[rows] for bound, values in self.ranks.items()},
        )  # fmt: skip

    def values(self, metric: Metric, bound: str) -> NDArray[np.float64]:
        """Return float64 [n_users]."""
        return metric.values(self.ranks[bound])


def rows_of(folder: Path) -> list[Row]:
    """Return the finished records of seed 0, the newest of each label."""
    found: dict[str, Row] = {}
    for place, record in sorted(
        read_records(folder, "refused"), key=lambda one: one[1].finished_at
    ):
        if record.status != "ok" or record.seed != SEED:
            continue
        arrays = verified_ranks(place, record)
        ranks = {bound: arrays[bound].astype(np.int64) for bound in BOUNDS}
        found[record.label] = Row(record.label, record, arrays["user"].astype(np.int64), ranks)
    return list(found.values())


def main(arguments: Sequence[str]) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="CALRec against published rows, paired")
    parser.add_argument("runs", type=Path, help="a data set's folder in a run folder")
    parser.add_argument("--published", default="scientific", help="a published data set")
    parser.add_argument("--root", type=Path, default=Path("leaderboards"))
    options = parser.parse_args(arguments)
    try:
        own, others = _on_the_same_users(
            rows_of(options.runs), rows_of(options.root / "records" / options.published)
        )
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    users = own[0].users
    print(f"{len(users)} users, optimistic/pessimistic\n")
    print(_means([*own, *others]))
    for row in own:
        print(f"\n{row.label}: difference to each other row, 95 % interval, p of the paired t-test")
        print(_differences(row, [one for one in [*own, *others] if one is not row]))
    print(_paper(options.published, own))
    return 0


def _on_the_same_users(own: Sequence[Row], published: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return CALRec's rows of the run folder and the published ones, all on the former's users.

    Raises:
        DataError: there are none, or the two sides are of different data.
    """
    own = [row for row in own if row.record.method["name"] == "calrec"]
    if not own or not published:
        raise DataError("no finished row of calrec, or nothing published")
    for fact in ("n_items", "n_events"):
        if len({row.record.dataset[fact] for row in [*own, *published]}) > 1:
            raise DataError(f"the rows are of different data: their {fact} differ")
    users = own[0].users
    return [row.on(users) for row in own], [row.on(users) for row in published]


def _means(rows: Sequence[Row]) -> str:
    lines = [
        [row.label, *("/".join(f"{row.values(metric, bound).mean():.4f}" for bound in BOUNDS)
                      for metric in METRICS)]
        for row in sorted(rows, key=lambda row: -row.values(METRICS[0], BOUNDS[1]).mean())
    ]  # fmt: skip
    return tabulate(lines, ["row", *(metric.name for metric in METRICS)], disable_numparse=True)


def _differences(row: Row, others: Sequence[Row]) -> str:
    lines = []
    metrics = [metric for metric in METRICS if metric.name in COMPARED]
    for other in others:
        line = [other.label]
        for metric in metrics:
            for bound in BOUNDS:
                found = paired_tests(
                    row.values(metric, bound), other.values(metric, bound), resamples=1
                )
                low, high = found.t_interval
                line.append(f"{found.mean:+.4f} [{low:+.4f}, {high:+.4f}] p {found.p_t:.2g}")
        lines.append(line)
    heads = [f"{metric.name} {bound[:3]}." for metric in metrics for bound in BOUNDS]
    return tabulate(lines, ["against", *heads], disable_numparse=True)


def _paper(dataset: str, rows: Sequence[Row]) -> str:
    name = DATASETS.get(dataset)
    facts = {
        (fact.metric, fact.bound): fact.value
        for fact in load_facts()
        if (fact.table, fact.dataset, fact.variant) == (2, name, "CALRec") and not fact.unit
    }
    if not facts:
        return ""
    lines = []
    for metric in METRICS:
        for bound in BOUNDS:
            paper = facts[metric.name, bound]
            values = [row.values(metric, bound).mean() for row in rows]
            told = [f"{value:.4f} ({value - paper:+.4f})" for value in values]
            lines.append([metric.name, bound, f"{paper:.4f}", *told])
    heads = ["metric", "bound", "paper", *(row.label for row in rows)]
    return f"\nThe paper's CALRec on {name}, and the distance to it\n" + tabulate(
        lines, heads, disable_numparse=True
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
