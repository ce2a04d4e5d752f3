"""UniSRec's settings."""

from __future__ import annotations

from dataclasses import dataclass

from harness.settings import setting
from methods import _text
from methods._sequential import SequentialSettings

ID_TEXT, TEXT_ONLY = "id-text", "text"


@dataclass(frozen=True)
class Settings(SequentialSettings, _text.TextSettings):
    """Defaults of UniSRec's repository; those of pre-training count where there is a mixture."""

    hidden_size: int = setting(300, "width of embeddings and states", minimum=1)
    items_as: str = setting(
        ID_TEXT,
        "what an item is: id-text: its adapted text plus an embedding of its own (the repository's "
        "transductive setting); text: its adapted text alone (inductive)",
        choices=(ID_TEXT, TEXT_ONLY),
    )
    n_experts: int = setting(8, "experts of the adaptor", minimum=1)
    adaptor_dropout: float = setting(
        0.2, "dropout of text vectors, for each expert", minimum=0, maximum=1
    )
    temperature: float = setting(0.07, "by which cosines are divided in the softmax", minimum=1e-6)
    checkpoint: str | None = setting(
        None,
        "file to start from: a checkpoint as the authors released theirs, or tensors by key in "
        ".safetensors; nothing in it is run. n_heads cannot be seen in it and must be right",
    )
    pretraining: str | None = setting(
        None, "mixture of data sets to pre-train on: a shipped one's name, or a .toml file"
    )
    fix_encoder: bool = setting(
        True,
        "keep positions and Transformer as they are where they were pre-trained, and train the "
        "rest (the repository's default)",
    )
    pretraining_epochs: int = setting(300, "epochs of pre-training", minimum=1)
    pretraining_batch_size: int = setting(8192, "sequences per step of pre-training", minimum=2)
    pretraining_learning_rate: float = setting(1e-3, "Adam's in pre-training", minimum=0)
    pretraining_save_every: int = setting(
        5, "epochs after which pre-training can be gone on with", minimum=1
    )
    seq_seq_weight: float = setting(
        1e-3, "weight of the loss between a sequence and its augmented copy", minimum=0
    )
    augmentation_item_share: float = setting(
        0.9, "share of batches augmented by leaving items out; in the others words are left out",
        minimum=0, maximum=1,
    )  # fmt: skip
    item_drop: float = setting(
        0.2, "chance of an item to be left out, or to lose words, in augmentation",
        minimum=0, maximum=1,
    )  # fmt: skip
    word_drop_ratio: float = setting(
        0.15, "chance of a word to be left out of an item's second text", minimum=0, maximum=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.checkpoint and self.pretraining:
            raise ValueError(
                "checkpoint and pretraining are both given; a network starts from one of them"
            )
        if (self.pretraining or self.checkpoint) and self.encoder == _text.TF_IDF:
            raise ValueError(
                f"encoder={_text.TF_IDF} gives each data set a space of its own, so nothing "
                "learnt on others would fit; name the encoder of the checkpoint or of pre-training"
            )
