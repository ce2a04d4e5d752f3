r"""Retrieve again from the texts of a finished run, without the language model.

    python -m methods.calrec.rematch runs/scientific/calrec/seed0-0123456789ab \
        --set pooling=mean --set epsilon=0.01

Prints the run's own metrics and those of its texts under other retrieval settings: ``pooling``,
``modulation``, ``epsilon``, ``n_predictions``, ``matching``. Early stopping had used the run's own.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.data.prepared import PreparedData
    from harness.records import Record
    from methods.calrec.retrieval import GeneratedText

CHANGEABLE = ("pooling", "modulation", "epsilon", "n_predictions", "matching")


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    from harness.commands.options import add_data_options, add_variant_options

    found = argparse.ArgumentParser(
        prog="python -m methods.calrec.rematch", description="retrieve again from generated texts"
    )
    found.add_argument(
        "run", type=Path, help="a cell's folder, with record.json and work/generated"
    )
    found.add_argument("--dataset", help="the data set or its card's path, where not as recorded")
    found.add_argument(
        "--set", action="append", default=[], dest="changes", metavar="SETTING=VALUE",
        help=f"one of {', '.join(CHANGEABLE)}; may be repeated",
    )  # fmt: skip
    add_variant_options(found)
    add_data_options(found)
    return found


def main(arguments: Sequence[str]) -> int:
    """Print both rows."""
    options = parser().parse_args(arguments)
    from harness.errors import HarnessError, UsageError

    try:
        print(_table(options))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (HarnessError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _table(options: argparse.Namespace) -> str:
    from tabulate import tabulate

    from harness.commands.options import chosen_card, default_cache
    from harness.data.prepare import prepare
    from harness.metrics import METRICS
    from harness.progress import Progress
    from harness.records import RECORD_FILE, read_record

    record = read_record(options.run / RECORD_FILE)
    card = chosen_card(options.dataset or record.dataset["name"], options)
    data = prepare(card, options.cache or default_cache(), Progress(shown=not options.quiet))
    found = rematched(options.run, record, data, options.changes)
    lines = [
        [name, *(f"{row[m.name]['optimistic']:.4f}/{row[m.name]['pessimistic']:.4f}"
                 for m in METRICS)]
        for name, row in (("as recorded", record.metrics), (", ".join(options.changes), found))
    ]  # fmt: skip
    return tabulate(lines, ["retrieval", *(m.name for m in METRICS)], disable_numparse=True)


def rematched(
    run: Path, record: Record, data: PreparedData, changes: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return metric -> bound -> mean over the test users, of the run's texts.

    Args:
        run: the cell's folder.
        record: its record.
        data: the data set that it was made on.
        changes: ``SETTING=VALUE``.

    Raises:
        UsageError: a setting that does not concern retrieval, or a bad value.
        DataError: the record is of other data, or texts are missing or damaged.
    """
    import numpy as np

    from harness.errors import DataError, UsageError
    from harness.metrics import summary
    from harness.ranking import rank_targets
    from harness.settings import Layer, resolve
    from harness.splits import split_data, split_hash
    from methods.calrec.domains import read_texts as read_item_texts
    from methods.calrec.matching import HierarchicalMatcher
    from methods.calrec.retrieval import Retriever
    from methods.calrec.settings import HIERARCHICAL, Settings

    if record.status != "ok" or record.method["name"] != "calrec":
        raise DataError(f"{run} is no finished run of calrec")
    if record.dataset["split_hash"] != split_hash(data.content_hash):
        raise DataError(f"{run} was made on another version of {data.card.name}")
    values = dict(text.partition("=")[::2] for text in changes)
    if wrong := sorted(set(values) - set(CHANGEABLE)):
        raise UsageError(f"{wrong[0]!r} does not concern retrieval: {', '.join(CHANGEABLE)} do")
    known = {field.name for field in dataclasses.fields(Settings)}
    stored = {name: value for name, value in record.method["settings"].items() if name in known}
    layers = [Layer("record", stored), Layer("--set", values)]
    settings: Settings = resolve(Settings, "calrec", layers)[0]
    texts = read_item_texts(data.item_texts, settings)
    kind = HierarchicalMatcher if settings.matching == HIERARCHICAL else Retriever
    matcher = kind.of(texts, settings)
    samples, split = _samples(run), split_data(data)
    ranks = []
    for user, target in zip(split.test_histories.users.tolist(), split.test_targets, strict=True):
        if user not in samples:
            raise DataError(f"{run / 'work' / 'generated'} holds no texts of user {user}")
        scores = matcher.scores(samples[user])[None]
        found = rank_targets(scores, np.array([target]))
        ranks.append((found.optimistic[0], found.pessimistic[0]))
    optimistic, pessimistic = np.array(ranks).T
    return summary(optimistic, pessimistic)


def _samples(run: Path) -> dict[int, list[GeneratedText]]:
    from methods.calrec.texts import parsed

    return {
        user: written.texts
        for path in sorted((run / "work" / "generated").glob("*.jsonl"))
        for user, written in parsed(path)
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
