"""S3-Rec's settings."""

from __future__ import annotations

from dataclasses import dataclass

from harness.settings import setting
from methods import _text
from methods._sequential import SequentialSettings

TEXT, ATTRIBUTES = "text", "attributes"
EACH_PREFIX, WHOLE = "every-prefix", "whole-histories"

AS_SHIPPED = {
    "hidden_size": 300,
    "aap_weight": 1.0,
    "mip_weight": 0.2,
    "align_padding": False,
    "align_targets": False,
    "text_overwritten": True,
    "pretraining_epochs": 300,
    "pretraining_held_out": 0.0,
}
"""What the published numbers most likely come from (METHODS 4)."""


@dataclass(frozen=True)
class Settings(SequentialSettings, _text.TextSettings):
    """RecBole 1.2.1's defaults, faults of padding mended; settings of SASRec's kind fine-tune."""

    features: str = setting(
        TEXT,
        "what items are to tell of themselves in pre-training: text: which of all texts is theirs, "
        "by text vectors, as in UniSRec's repository; attributes: their attribute tokens, as in "
        "RecBole",
        choices=(TEXT, ATTRIBUTES),
    )
    attributes: str | None = setting(
        None,
        "names of the attributes, with commas, merged into one field; none: those of brand, "
        "category and genres that the data set has",
    )
    word_attributes: str = setting(
        "genres", "attributes whose values are several words, each of them a token"
    )
    mask_ratio: float = setting(0.2, "chance of each item to be masked", minimum=0, maximum=1)
    aap_weight: float = setting(
        0.2, "weight of telling attributes of items that are seen", minimum=0
    )
    mip_weight: float = setting(1.0, "weight of telling masked items from others", minimum=0)
    map_weight: float = setting(1.0, "weight of telling attributes of masked items", minimum=0)
    sp_weight: float = setting(0.5, "weight of telling masked segments from others", minimum=0)
    pretraining_epochs: int = setting(
        100, "epochs of pre-training at most; 0 fine-tunes from random weights", minimum=0
    )
    pretraining_batch_size: int = setting(1024, "sequences per step of pre-training", minimum=1)
    pretraining_learning_rate: float = setting(1e-3, "Adam's in pre-training", minimum=0)
    pretraining_patience: int = setting(
        10, "epochs in a row without a better held-out loss that are borne; one more stops",
        minimum=0,
    )  # fmt: skip
    pretraining_held_out: float = setting(
        0.05,
        "share of users kept out of pre-training, whose loss decides when it stops and which epoch "
        "is kept; 0: all epochs are run, the last is kept",
        minimum=0,
        maximum=0.5,
    )
    pretraining_examples: str = setting(
        EACH_PREFIX,
        "what pre-training reads: every-prefix of a training history, as RecBole; or "
        "whole-histories, the newest events of each, in half the time",
        choices=(EACH_PREFIX, WHOLE),
    )
    pretraining_save_every: int = setting(
        5, "epochs after which pre-training can be gone on with", minimum=1
    )
    align_padding: bool = setting(
        True,
        "pad at the right in pre-training as in fine-tuning, so that both know the same positions; "
        "false: at the left, as RecBole",
    )
    align_targets: bool = setting(
        True,
        "ask at each position for the attributes of its own item; false: for those of the item in "
        "the same column padded at the right, as UniSRec's repository",
    )
    text_overwritten: bool = setting(
        False,
        "replace text vectors by noise, as the initialisation in UniSRec's repository does: of "
        "texts no more is read than which items share one, and with align_targets=false not that",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.align_targets and (self.align_padding or self.features != TEXT):
            raise ValueError(
                "align_targets=false is a fault of text features with padding at the left: it "
                "needs align_padding=false and features=text"
            )
        if self.text_overwritten and self.features != TEXT:
            raise ValueError("text_overwritten=true needs features=text: no others are overwritten")
