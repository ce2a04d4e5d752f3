"""What each file of the paper's tables must look like, and what its columns mean.

The names of data sets, methods and variants that the rest of the package speaks in are those here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.metrics import METRICS

PaperBound = Literal["optimistic", "pessimistic"]
BOUND_NAMES: Mapping[str, PaperBound] = {"opt": "optimistic", "pes": "pessimistic"}

AVERAGE = "Average"
"""What the paper calls the mean over its data sets, each weighing alike."""

PAPER_DATASETS = ("Scientific", "Instruments", "Arts", "Office", "Games", "Pet")
PAPER_METHODS = (
    "BERT4Rec", "SASRec", "FDSA", "S3-Rec", "UniSRec-ID+Text", "UniSRec-Text", "RecFormer", "LIR",
    "CALRec",
)  # fmt: skip
METRIC_NAMES = tuple(metric.name for metric in METRICS)

FULL = "CALRec"
"""The paper's method with all its parts, in table 2."""
IMPROVEMENT = "CALRec over the best other"
WITH_CONTRASTIVE, WITHOUT_CONTRASTIVE = "with contrastive", "without contrastive"
GAIN, P_VALUE = "gain by contrastive", "p-value"
BEFORE_DEDUP, AFTER_DEDUP, CHANGE_BY_DEDUP = "without dedup", "with dedup", "change by dedup"
HIERARCHICAL, CHANGE_BY_HIERARCHY = "hierarchical", "change by hierarchy"

TITLES: Mapping[int, str] = {
    1: "the data sets",
    2: "nine methods",
    3: "ablations of CALRec",
    4: "with and without the contrastive losses, averages over the six data sets",
    5: "backbones that were not tuned",
    6: "an untuned backbone with GPT4Rec's template",
    7: "the Last Item Repeater without and with dedup",
    8: "hierarchical matching in place of BM25",
}
"""Table -> what it shows."""


@dataclass(frozen=True)
class Kind:
    """What a value looks like.

    Attributes:
        pattern: regular expression of the whole field.
        example: one that fits it, for messages.
        digits: decimals to which such values are known, where fewer are printed.
        unit: "%" or empty.
    """

    pattern: str
    example: str
    digits: int = 0
    unit: str = ""


VALUE = Kind(r"0\.[0-9]{4}", "0.0555", 4)
LOOSE_VALUE = Kind(r"0\.[0-9]{2,5}", "0.0555", 4)  # trailing zeros left out, or a digit too many
COUNT = Kind(r"[1-9][0-9]*", "9461")
NUMBER = Kind(r"[0-9]+\.[0-9]+", "7.04")
PERCENT = Kind(r"[+-]?[0-9]+(\.[0-9]+)?", "-4.8", unit="%")


@dataclass(frozen=True)
class Column:
    """A column of values.

    Attributes:
        kind: what its values look like.
        bound: which ranks they are of.
        variant: its own, where the rows have none.
        metric: its own, where the rows have none.
        in_order: whether it is the one or the other side of a pair, optimistic and pessimistic.
    """

    kind: Kind
    bound: PaperBound | None = None
    variant: str | None = None
    metric: str | None = None
    in_order: bool = False


@dataclass(frozen=True)
class Layout:
    """One file.

    Attributes:
        table: 1 to 8.
        file: its name.
        columns: all of them, as they stand in its first line.
        keys: column -> the names that it may hold; every combination is due once.
        values: column -> what it means.
        dataset: of all rows, where no column names one.
    """

    table: int
    file: str
    columns: tuple[str, ...]
    keys: Mapping[str, tuple[str, ...]]
    values: Mapping[str, Column]
    dataset: str = ""

    def role(self, key: str) -> str:
        """Return what a key column names: "dataset", "metric", "bound" or "variant"."""
        return key if key in {"dataset", "metric", "bound"} else "variant"


Columns = dict[str, Column]


def _pair(optimistic: str, pessimistic: str, kind: Kind, variant: str | None = None) -> Columns:
    return {
        optimistic: Column(kind, "optimistic", variant, in_order=True),
        pessimistic: Column(kind, "pessimistic", variant, in_order=True),
    }


_BOTH = _pair("opt", "pes", VALUE)
_THREE, _TWO = ("Scientific", "Instruments", "Games"), ("Scientific", "Instruments")

LAYOUTS = (
    Layout(
        1, "table1.csv",
        ("dataset", "n_users_after_dedup", "user_sample_pct", "dup_purchase_pct_before_dedup",
         "n_items", "total_purchase", "items_per_user", "purchases_per_item", "density",
         "words_per_item", "word_vocab_size", "avg_word_freq"),
        {"dataset": PAPER_DATASETS},
        {
            "n_users_after_dedup": Column(COUNT, metric="users"),
            "user_sample_pct": Column(PERCENT, metric="users sampled"),
            "dup_purchase_pct_before_dedup": Column(PERCENT, metric="duplicates"),
            "n_items": Column(COUNT, metric="items"),
            "total_purchase": Column(COUNT, metric="purchases"),
            "items_per_user": Column(NUMBER, metric="items per user"),
            "purchases_per_item": Column(NUMBER, metric="purchases per item"),
            "density": Column(NUMBER, metric="density"),
            "words_per_item": Column(NUMBER, metric="words per item"),
            "word_vocab_size": Column(COUNT, metric="word vocabulary"),
            "avg_word_freq": Column(NUMBER, metric="average word frequency"),
        },
    ),
    Layout(
        2, "table2.csv", ("dataset", "metric", "method", "opt", "pes"),
        {"dataset": (*PAPER_DATASETS, AVERAGE), "metric": METRIC_NAMES, "method": PAPER_METHODS},
        _BOTH,
    ),
    Layout(
        2, "table2_improv.csv", ("dataset", "metric", "improv_opt_pct_reported"),
        {"dataset": (*PAPER_DATASETS, AVERAGE), "metric": METRIC_NAMES},
        {"improv_opt_pct_reported": Column(PERCENT, "optimistic", IMPROVEMENT)},
    ),
    Layout(
        3, "table3.csv", ("variant", "paper_label", "dataset", "metric", "opt", "pes"),
        {"variant": ("full", "no_stage1", "no_stage2", "no_contrastive", "pretrained_only"),
         "dataset": _THREE, "metric": METRIC_NAMES},
        _pair("opt", "pes", LOOSE_VALUE),
    ),
    Layout(
        4, "table4.csv",
        ("metric", "bound", "with_contrastive", "without_contrastive", "improv_pct_reported",
         "p_value_reported"),
        {"metric": METRIC_NAMES, "bound": tuple(BOUND_NAMES)},
        {
            "with_contrastive": Column(VALUE, variant=WITH_CONTRASTIVE),
            "without_contrastive": Column(VALUE, variant=WITHOUT_CONTRASTIVE),
            "improv_pct_reported": Column(PERCENT, variant=GAIN),
            "p_value_reported": Column(LOOSE_VALUE, variant=P_VALUE),
        },
        AVERAGE,
    ),
    Layout(
        5, "table5.csv", ("dataset", "metric", "palm2_size", "opt", "pes"),
        {"dataset": _TWO, "metric": METRIC_NAMES, "palm2_size": ("XXXS", "XXS", "S")}, _BOTH,
    ),
    Layout(
        6, "table6.csv", ("dataset", "metric", "template", "opt", "pes"),
        {"dataset": _TWO, "metric": METRIC_NAMES, "template": ("GPT4Rec",)}, _BOTH,
    ),
    Layout(
        7, "table7.csv",
        ("dataset", "metric", "lir_opt_without_dedup", "lir_opt_with_dedup",
         "change_pct_reported"),
        {"dataset": PAPER_DATASETS, "metric": METRIC_NAMES},
        {
            "lir_opt_without_dedup": Column(LOOSE_VALUE, "optimistic", BEFORE_DEDUP),
            "lir_opt_with_dedup": Column(LOOSE_VALUE, "optimistic", AFTER_DEDUP),
            "change_pct_reported": Column(PERCENT, "optimistic", CHANGE_BY_DEDUP),
        },
    ),
    Layout(
        8, "table8.csv",
        ("dataset", "format_error_pct", "match_all_four_pct", "match_title_only_pct", "metric",
         "hier_opt", "hier_pes", "change_vs_bm25_mean_optpes_pct_reported"),
        {"dataset": PAPER_DATASETS, "metric": METRIC_NAMES},
        {
            "format_error_pct": Column(PERCENT, metric="format errors", variant=HIERARCHICAL),
            "match_all_four_pct": Column(PERCENT, metric="all four match", variant=HIERARCHICAL),
            "match_title_only_pct": Column(PERCENT, metric="title matches", variant=HIERARCHICAL),
            **_pair("hier_opt", "hier_pes", VALUE, HIERARCHICAL),
            "change_vs_bm25_mean_optpes_pct_reported": Column(
                PERCENT, variant=CHANGE_BY_HIERARCHY
            ),
        },
    ),
)  # fmt: skip
