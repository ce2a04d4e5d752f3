"""The settings of CALRec, with the paper's values as defaults where it gives them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from harness.settings import setting

TINY = "tiny"
TOKEN_MEAN = "token_mean"  # noqa: S105 - a reduction, no password
SEQUENCE_SUM = "sequence_sum"
AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"

PAPER_LEARNING_RATE = 1e-4
TINY_LEARNING_RATE = 5e-4  # tiny is too small and too new for the paper's


@dataclass(frozen=True)
class Settings:
    """CALRec's settings; those named ``tiny_`` concern the embedded backbone alone."""

    backbone: str = setting(
        TINY,
        "the language model: `tiny` (embedded, from random weights), a Hugging Face hub id, a "
        "local folder with safetensors, or a GGUF file (the paper: PaLM-2 XXS, not public)",
    )
    random_weights: bool = setting(
        False,
        "start any backbone from random weights of its architecture, its own untrained self, "
        "whatever its files hold (tiny starts so anyway)",
    )
    tiny_vocabulary: int = setting(
        4096, "tokens of tiny's tokeniser at most, the 256 bytes included", minimum=300
    )
    tiny_width: int = setting(128, "width of tiny's states", minimum=2)
    tiny_layers: int = setting(3, "layers of tiny", minimum=1)
    tiny_heads: int = setting(4, "attention heads of tiny", minimum=1)
    tiny_pretraining_epochs: int = setting(
        6,
        "epochs of tiny's stand-in for pre-training, language modelling over training histories; "
        "0 leaves it out",
        minimum=0,
    )
    tiny_pretraining_learning_rate: float = setting(
        3e-3, "peak learning rate of the stand-in (cosine to a tenth of it)", minimum=0
    )
    tiny_pretraining_tokens: int = setting(
        2048, "tokens in an optimiser step of the stand-in", minimum=1
    )
    tiny_window_items: int = setting(
        20, "items in a stretch of history that the stand-in reads at once", minimum=1
    )
    epochs: int = setting(
        10, "epochs of fine-tuning at most, one target per user in each; 0 leaves it out", minimum=0
    )
    learning_rate: float | None = setting(
        None,
        "learning rate of fine-tuning, constant after the warm-up; none: the paper's 1e-4, for "
        "tiny 5e-4",
        minimum=0,
    )
    batch_size: int = setting(512, "users in an optimiser step (the paper: 512)", minimum=1)
    tokens_at_once: int = setting(
        16384,
        "tokens in one pass through the model; bounds memory, not the result (a step's gradient "
        "is accumulated over as many passes as its users need)",
        minimum=1,
    )
    warmup_steps: int = setting(20, "steps over which the learning rate rises", minimum=0)
    weight_decay: float = setting(0.01, "AdamW's weight decay", minimum=0)
    gradient_clip: float = setting(
        1.0, "largest norm of a step's gradient; 0 leaves it as it is", minimum=0
    )
    nig_reduction: str = setting(
        TOKEN_MEAN,
        "token_mean: next-item generation loss averaged over target tokens; sequence_sum: summed "
        "over a target's tokens, averaged over users (equation 1 read literally)",
        choices=(TOKEN_MEAN, SEQUENCE_SUM),
    )
    max_dropped_events: int = setting(
        4, "augmentation: the last 0 to so many events are dropped (the paper: 4)", minimum=0
    )
    validation_users: int = setting(
        300,
        "users in the sample on which each epoch of fine-tuning is validated; 0: no validation, "
        "the last epoch counts",
        minimum=0,
    )
    patience: int = setting(
        2, "epochs in a row without a better validation NDCG@10 that are borne", minimum=0
    )
    max_input_tokens: int = setting(
        1024, "tokens of a prompt at most; whole oldest items are left out", minimum=1
    )
    max_history_items: int | None = setting(
        None, "newest items of a history that are read; none: as many as fit", minimum=1
    )
    temperature: float = setting(
        0.5, "temperature of sampling (the paper: 0.5); 0 takes the likeliest token", minimum=0
    )
    generation_precision: str = setting(
        FLOAT32,
        "arithmetic of sampling: float32, in which a user is given the same texts in any company, "
        "or bfloat16, faster, in which now and then another one",
        choices=(FLOAT32, BFLOAT16),
    )
    n_generated: int = setting(32, "texts sampled per user, N_gen (the paper: 32)", minimum=1)
    max_new_tokens: int | None = setting(
        None,
        "tokens of a generated text at most (the paper: 80); none: the longest item text of the "
        "catalogue and the token that ends it",
        minimum=1,
    )
    n_predictions: int = setting(
        10, "distinct texts kept per user, N_pred (the paper: 10)", minimum=1
    )
    epsilon: float = setting(
        1 / 5000, "weight of the sequence score in retrieval (the paper: 1/5000)", minimum=0
    )
    pooling: str = setting(
        "max", "pooling over a user's texts (the paper: max)", choices=("max", "mean", "min")
    )
    modulation: bool = setting(True, "whether sequence scores modulate BM25 (the paper: yes)")

    def __post_init__(self) -> None:
        if self.backbone == TINY:
            self._check_tiny()

    def _check_tiny(self) -> None:
        if self.tiny_width % (2 * self.tiny_heads):
            raise ValueError(
                f"tiny_width ({self.tiny_width}) must be a multiple of twice tiny_heads "
                f"({self.tiny_heads}): rotary positions turn pairs of numbers"
            )
        if (
            self.tiny_pretraining_epochs
            and self.max_history_items is not None
            and self.tiny_window_items > self.max_history_items + 1
        ):
            raise ValueError(
                f"tiny_window_items ({self.tiny_window_items}) must not exceed max_history_items "
                f"({self.max_history_items}) by more than the target: the rest would go unread"
            )

    @property
    def fine_tuning_rate(self) -> float:
        """The learning rate of fine-tuning: the one given, else the backbone's default."""
        if self.learning_rate is not None:
            return self.learning_rate
        return TINY_LEARNING_RATE if self.backbone == TINY else PAPER_LEARNING_RATE

    @property
    def without_effect(self) -> list[str]:
        """The names of the settings that do nothing for this backbone."""
        if self.backbone == TINY:
            return ["random_weights"] if self.random_weights else []
        names = [field.name for field in dataclasses.fields(self)]
        return [name for name in names if name.startswith("tiny_")]
