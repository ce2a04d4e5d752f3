"""The settings of Recformer; defaults are the original's, as far as they are known."""

from __future__ import annotations

from dataclasses import dataclass

from harness.settings import setting

RANDOM = "random"
FIRST, MEAN = "first", "mean"
QUICK, SLIDING = "quick", "sliding"
AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"
ORIGINAL_ATTRIBUTES = ("title", "brand", "category")
LONGFORMER = "allenai/longformer-base-4096"


@dataclass(frozen=True)
class Settings:
    """Recformer's settings; those named ``random_`` concern weights drawn at random alone."""

    weights: str = setting(
        RANDOM,
        "where the weights start: `random` (small, with a tokeniser learnt from the catalogue), a "
        "released checkpoint (a .bin, .pt or .safetensors file), or a folder or hub id of a "
        "Longformer or of any BERT- or RoBERTa-like encoder, which is converted",
    )
    tokenizer: str = setting(
        LONGFORMER,
        "folder or hub id of tokeniser and configuration for a released checkpoint, which holds "
        "neither",
    )
    attributes: str | None = setting(
        None,
        "names of the attributes that are read, with commas, in this order; none: those of title, "
        "brand and category that the data set has, or all of its own where it has none of them",
    )
    max_attribute_tokens: int = setting(
        32, "tokens of an attribute at most, its key included", minimum=1
    )
    max_items: int = setting(50, "newest items of a history that are read", minimum=1)
    max_tokens: int = setting(
        1024, "tokens of a history at most, the first one included; the oldest are cut off",
        minimum=2,
    )  # fmt: skip
    attention_window: int = setting(
        64, "tokens that local attention reaches, half of them on either side; even", minimum=2
    )
    attention: str = setting(
        QUICK,
        "how attention is computed, not what: sliding: by transformers' own code; quick: by ours, "
        "several times quicker and equal but for rounding",
        choices=(QUICK, SLIDING),
    )
    attention_dropout: float | None = setting(
        None,
        "share of attention weights dropped while training; none: what the weights' configuration "
        "says (original: 0.1); 0 trains a quarter faster on a CPU",
        minimum=0,
        maximum=1,
    )
    pooling: str = setting(
        FIRST,
        "what stands for a sequence: first: the state of its first token (original); mean: the "
        "mean of its states, which suits converted sentence encoders",
        choices=(FIRST, MEAN),
    )
    precision: str = setting(
        AUTO,
        "of products while training and encoding items; weights and users' vectors stay float32 "
        "(rounded further, a user's scores would depend on who is encoded beside them). auto: "
        "bfloat16 on a GPU and on a CPU with instructions for it, else float32; the record says "
        "which",
        choices=(AUTO, FLOAT32, BFLOAT16),
    )
    temperature: float = setting(0.05, "divides cosines", minimum=1e-6)
    random_vocabulary: int = setting(
        2048, "tokens of the learnt tokeniser at most, the 256 bytes included", minimum=300
    )
    random_width: int = setting(64, "width of states", minimum=1)
    random_layers: int = setting(2, "layers", minimum=1)
    random_heads: int = setting(2, "attention heads; must divide random_width", minimum=1)

    stage1_epochs: int = setting(
        128, "epochs at most of stage 1, which encodes all items anew for each epoch", minimum=0
    )
    stage2_epochs: int = setting(
        128, "epochs at most of stage 2, in which the items' vectors stand still", minimum=0
    )
    targets_per_user: int = setting(
        1, "targets drawn of each user in an epoch (original: 1)", minimum=1
    )
    batch_size: int = setting(128, "examples in an optimiser step (original: 16, eight times)",
        minimum=1)  # fmt: skip
    tokens_at_once: int = setting(
        8192,
        "tokens in one pass through the model, padding included; bounds memory, not the result",
        minimum=1,
    )
    learning_rate: float = setting(5e-5, "AdamW's peak learning rate", minimum=0)
    weight_decay: float = setting(0.0, "AdamW's weight decay", minimum=0)
    gradient_clip: float = setting(
        0.0, "largest norm of a step's gradient; 0 (original) leaves it as it is", minimum=0
    )
    warmup_steps: int = setting(100, "steps over which the learning rate rises", minimum=0)
    decay: bool = setting(
        True, "whether the learning rate falls to 0 by the last step of a full stage, linearly"
    )
    shared_schedule: bool = setting(
        True,
        "whether stage 2 goes on with the optimiser and schedule of stage 1 (original), so that "
        "its learning rate may be 0, or begins anew",
    )
    validate_every: int = setting(
        3,
        "epochs between validations (original: 3); the start and the last epoch are validated too, "
        "and the start is kept where no epoch is better",
        minimum=1,
    )
    validation_users: int | None = setting(
        None, "users in the sample that is validated on; none: all (original)", minimum=1
    )
    stage1_patience: int = setting(
        5, "validations in a row without a better one that end stage 1", minimum=1
    )
    stage2_patience: int = setting(
        3, "validations in a row without a better one that end stage 2", minimum=1
    )

    pretraining: str = setting(
        "", "name or .toml path of the mixture of data sets to pre-train on; empty: none"
    )
    pretraining_epochs: int = setting(
        32, "epochs of pre-training, in each as many pairs as the mixture has users", minimum=1
    )
    pretraining_batch_size: int = setting(
        64,
        "pairs in an optimiser step, over all processes; the others of a step are negatives "
        "(original: 64 negatives too, but the gradients of eight such batches in a step)",
        minimum=2,
    )  # fmt: skip
    pretraining_learning_rate: float = setting(5e-5, "AdamW's peak rate, falls linearly", minimum=0)
    pretraining_gradient_clip: float = setting(1.0, "largest norm of a gradient; 0: any", minimum=0)
    pretraining_validation_users: int | None = setting(
        None, "users in the sample that selects the epoch; none: all (original)", minimum=1
    )
    pretraining_save_every: int = setting(
        1000, "optimiser steps between states to go on from, besides those of epochs", minimum=1
    )
    mlm_weight: float = setting(
        0.1, "weight of masked language modelling, of either side of a pair", minimum=0
    )
    mlm_probability: float = setting(0.15, "share of words that are masked", minimum=0, maximum=1)
    train_word_embeddings: bool = setting(
        False, "whether pre-training changes the word embeddings (original: no)"
    )

    def __post_init__(self) -> None:
        if self.attention_window % 2:
            raise ValueError(f"attention_window ({self.attention_window}) must be even")
        if self.attention == SLIDING and self.attention_window < 4:
            raise ValueError("attention_window must be 4 or more for transformers' own attention")
        if self.random_width % self.random_heads:
            raise ValueError(
                f"random_width ({self.random_width}) must be a multiple of random_heads "
                f"({self.random_heads})"
            )
        if not self.stage1_epochs and self.stage2_epochs:
            raise ValueError("stage2_epochs needs stage1_epochs: stage 2 goes on from stage 1")
        if self.attributes is not None and not self.attribute_names:
            raise ValueError("attributes names none; leave it out to read those of the data set")

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The attributes asked for by name; none where the data set is to decide."""
        parts = (self.attributes or "").split(",")
        return tuple(part.strip() for part in parts if part.strip())
