"""Our names and the paper's: which data set and which row of ours stands beside which of its.

A new preset takes its place by one line in `EXPRESSIONS`. A line is true or absent: it states every
difference to the paper's variant that is known, and is held back by ``when`` from rows whose
settings make them something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from harness.paper.layouts import (
    AFTER_DEDUP,
    BEFORE_DEDUP,
    FULL,
    HIERARCHICAL,
    PAPER_DATASETS,
    WITH_CONTRASTIVE,
    WITHOUT_CONTRASTIVE,
)
from harness.records import Record

# ---- data sets -----------------------------------------------------------------------------------

DATASETS: Mapping[str, str] = {
    "amazon-scientific": "Scientific",
    "amazon-instruments": "Instruments",
    "amazon-arts": "Arts",
    "amazon-office": "Office",
    "amazon-games": "Games",
    "amazon-pet": "Pet",
    "scientific": "Scientific",
    "games": "Games",
}
"""Our data set -> the paper's name; of two with one name the closer to the paper's comes first."""

DATASET_DIFFERENCES: Mapping[str, str] = {
    "scientific": "8,442 of the paper's 9,461 users; no timestamps, so no dedup",
    "games": "titles only, at most 50 purchases a user, no dedup",
    "amazon-office": "another sample of users",
    "amazon-pet": "another sample of users",
}
SAME_PROTOCOL = "the paper's own protocol"

NO_DEDUP = "-dedup-none"
"""Ends the name of a data set's variant without dedup (`harness.data.variants`)."""


def ours(paper_dataset: str) -> list[str]:
    """Return our data sets that bear one of the paper's names, the closest first."""
    return [name for name, paper in DATASETS.items() if paper == paper_dataset]


# ---- rows ----------------------------------------------------------------------------------------


def always(record: Record) -> bool:
    """Accept any settings."""
    return True


def repeats_last(record: Record) -> bool:
    """Tell whether LIR has the user's last item among its candidates, as in the paper."""
    return not record.method["settings"].get("exclude_last", False)


def before_dedup(record: Record) -> bool:
    """Tell whether the rows are LIR's on data of which nothing was dropped."""
    return repeats_last(record) and record.protocol["dedup"] == "none"


def after_dedup(record: Record) -> bool:
    """Tell whether the rows are LIR's on data deduplicated by the paper's rule.

    Data whose duplicates cannot be told, dedup being off in their card, are on neither side.
    """
    return repeats_last(record) and record.protocol["dedup"] == "consecutive"


INFERENCE: Mapping[str, Any] = {
    "decoding": "free", "rerank": None, "item_text": "full", "matching": "bm25", "pooling": "max",
    "modulation": True,
}  # fmt: skip
"""How the paper's CALRec writes and matches texts; records without a setting had this value."""


def papers_inference(settings: Mapping[str, Any], matching: str = "bm25") -> bool:
    """Tell whether CALRec wrote and matched texts as the paper does."""
    expected = {**INFERENCE, "matching": matching}
    return all(settings.get(name, INFERENCE[name]) == expected[name] for name in INFERENCE)


def tuned(
    *, stage_one: bool, stage_two: bool = True, contrastive: bool | None = True,
    matching: str = "bm25",
) -> Callable[[Record], bool]:  # fmt: skip
    """Return what tells whether CALRec was tuned so; ``contrastive`` None accepts both.

    Records from before there were these settings have none: they had neither stage I nor
    contrastive losses.
    """

    def is_so(record: Record) -> bool:
        settings = record.method["settings"]
        losses = bool(settings.get("alpha") or settings.get("beta"))
        return (
            bool(settings.get("stage1")) == stage_one
            and bool(settings.get("epochs")) == stage_two
            and contrastive in (None, losses)
            and settings.get("template", "calrec") == "calrec"
            and papers_inference(settings, matching)
        )

    return is_so


def untuned_with_gpt4recs_template(record: Record) -> bool:
    """Tell whether an untuned language model was asked as GPT4Rec asks (table 6)."""
    return record.method["settings"].get("template") == "gpt4rec" and _untuned(record)


def untuned_language_model(record: Record) -> bool:
    """Tell whether the backbone came pre-trained and nothing was tuned.

    The embedded one does not count: its stand-in for pre-training reads the data set's own training
    histories, which the paper's untuned backbone never saw.
    """
    return record.method["settings"].get("template", "calrec") == "calrec" and _untuned(record)


def _untuned(record: Record) -> bool:
    settings = record.method["settings"]
    pretrained = settings.get("backbone", "tiny") != "tiny" and not settings.get("random_weights")
    trained = settings.get("epochs") or settings.get("stage1")
    return pretrained and not trained and papers_inference(settings)


def fine_tuned(record: Record) -> bool:
    """Tell whether Recformer was fine-tuned at all."""
    return bool(record.method["settings"].get("stage1_epochs") != 0)


@dataclass(frozen=True)
class Expression:
    """A row of ours that stands for a variant of the paper.

    Attributes:
        table: 1 to 8.
        variant: as `harness.paper.facts.Fact.variant` names it.
        row: method, or method and preset; what else its label states are settings given by hand.
            ``METHOD:*`` is the method with any preset and without one.
        difference: what sets it apart, data set and backbone excepted.
        when: whether a row with these settings is that variant at all.
        on: ends the name of the data set's variant that it is measured on.
    """

    table: int
    variant: str
    row: str
    difference: str = ""
    when: Callable[[Record], bool] = always
    on: str = ""

    def fits(self, record: Record) -> bool:
        """Tell whether a record is of such a row."""
        name = head(record.label)
        any_preset = f"{name.partition(':')[0]}:*"
        return self.row in (name, any_preset) and self.when(record)


EXPRESSIONS: tuple[Expression, ...] = (
    Expression(2, "BERT4Rec", "bert4rec"),
    Expression(2, "SASRec", "sasrec"),
    Expression(2, "FDSA", "fdsa"),
    Expression(2, "S3-Rec", "s3rec"),
    Expression(2, "UniSRec-ID+Text", "unisrec:id-text"),
    Expression(2, "UniSRec-Text", "unisrec:text"),
    Expression(2, "RecFormer", "recformer:*", when=fine_tuned),
    Expression(2, "LIR", "lir", when=repeats_last),
    Expression(2, FULL, "calrec:*", when=tuned(stage_one=True)),
    Expression(2, FULL, "calrec:*", "no stage I", tuned(stage_one=False)),
    Expression(
        2, FULL, "calrec:*", "neither contrastive losses nor stage I",
        tuned(stage_one=False, contrastive=False),
    ),
    Expression(3, "full", "calrec:*", when=tuned(stage_one=True)),
    Expression(3, "no_stage1", "calrec:*", when=tuned(stage_one=False)),
    Expression(
        3, "no_stage1", "calrec:*", "no contrastive losses either",
        tuned(stage_one=False, contrastive=False),
    ),
    Expression(3, "no_stage2", "calrec:*", when=tuned(stage_one=True, stage_two=False)),
    Expression(3, "no_contrastive", "calrec:*", when=tuned(stage_one=True, contrastive=False)),
    Expression(
        3, "no_contrastive", "calrec:*", "no stage I either",
        tuned(stage_one=False, contrastive=False),
    ),
    Expression(3, "pretrained_only", "calrec:*", when=untuned_language_model),
    Expression(4, WITH_CONTRASTIVE, "calrec:*", when=tuned(stage_one=True)),
    Expression(4, WITH_CONTRASTIVE, "calrec:*", "no stage I", tuned(stage_one=False)),
    Expression(4, WITHOUT_CONTRASTIVE, "calrec:*", when=tuned(stage_one=True, contrastive=False)),
    Expression(
        4, WITHOUT_CONTRASTIVE, "calrec:*", "no stage I either",
        tuned(stage_one=False, contrastive=False),
    ),
    Expression(5, "XXS", "calrec:*", when=untuned_language_model),
    Expression(6, "GPT4Rec", "calrec:*", when=untuned_with_gpt4recs_template),
    Expression(
        8, HIERARCHICAL, "calrec:*",
        when=tuned(stage_one=True, contrastive=None, matching="hierarchical"),
    ),
    Expression(
        8, HIERARCHICAL, "calrec:*", "no stage I",
        tuned(stage_one=False, contrastive=None, matching="hierarchical"),
    ),
    Expression(7, BEFORE_DEDUP, "lir", when=before_dedup, on=NO_DEDUP),
    Expression(7, AFTER_DEDUP, "lir", when=after_dedup),
)  # fmt: skip
"""The lines for each variant that rows of ours can stand for; one without any stays empty."""

TABLE_NOTES: Mapping[int, str] = {
    1: "Counted, not estimated: there are no intervals.",
    3: "The embedded backbone untuned stands nowhere here: its stand-in for pre-training reads the "
    "data set's own training histories.",
    4: "The paper states neither unit nor sides of its t-test. Ours is paired over data sets, of "
    "two rows with the same settings; p-values of other units do not compare with it.",
    5: "The sizes of PaLM 2 below S are not public. An untuned language model of ours stands "
    "beside XXS, the one that the paper tunes; the embedded one stands nowhere here.",
    7: "The paper's side without dedup was measured on the data of another paper. A data set whose "
    "duplicates cannot be told is on neither side.",
}
"""Table -> what its reader must know."""


def head(label: str) -> str:
    """Return method and preset of a board's row, without the settings given by hand."""
    return label.partition(" (")[0]


def tail(label: str) -> str:
    """Return the settings given by hand that a board's row states, or nothing."""
    return label.partition(" (")[2]


def expressed(record: Record, expressions: tuple[Expression, ...] = EXPRESSIONS) -> bool:
    """Tell whether a record stands for anything in the paper."""
    return any(expression.fits(record) for expression in expressions)


# ---- what sets a row apart -----------------------------------------------------------------------


def protocol_difference(dataset: str, record: Record, difference: str) -> str:
    """Return what sets a measured value apart from the paper's protocol, in one line.

    Args:
        dataset: one of `DATASETS`.
        record: of a row on it.
        difference: of its `Expression`.
    """
    parts = [DATASET_DIFFERENCES.get(dataset, ""), difference, _backbone(record), _settings(record)]
    return "; ".join(part for part in parts if part) or SAME_PROTOCOL


def _backbone(record: Record) -> str:
    if head(record.label).partition(":")[0] == "recformer":
        return _recformer_weights(record)
    backbone = record.method["settings"].get("backbone")
    if head(record.label).partition(":")[0] != "calrec" or not isinstance(backbone, str):
        return ""
    weights = " from random weights"
    if backbone == "tiny":
        name = "the embedded tiny backbone" + weights
    else:
        name = PurePath(backbone).name  # a local path says where, and only its end says what
        name += weights if record.method["settings"].get("random_weights") else ""
    return f"{name} in place of PaLM 2 XXS"


def _recformer_weights(record: Record) -> str:
    settings = record.method["settings"]
    path = PurePath(str(settings.get("weights")))
    released = path.suffix in {".bin", ".pt", ".safetensors"}
    where = "" if released else " in place of the authors' checkpoint"
    pretraining = PurePath(str(settings.get("pretraining") or "")).name
    parts = [f"weights {path.name}{where}"]  # a local path says where, and only its end says what
    parts += [f"pre-trained on {pretraining}"] if pretraining else []
    preset = head(record.label).partition(":")[2]
    return "; ".join([*parts, f"preset {preset}"] if preset else parts)


def _settings(record: Record) -> str:
    """Return the settings that the data set's card or the user gave."""
    given = [
        f"{name}={record.method['settings'][name]} ({origin})"
        for name, origin in sorted(record.method["origins"].items())
        if origin in {"data set card", "--set"}
        and name not in {"backbone", "weights", "pretraining"}
    ]
    return f"settings: {', '.join(given)}" if given else ""


def unknown_dataset(name: str) -> str:
    """Return an error's text for a data set that the paper does not have."""
    return (
        f"the paper does not have {name!r}; its data sets {', '.join(PAPER_DATASETS)} are here "
        f"{', '.join(DATASETS)}"
    )
