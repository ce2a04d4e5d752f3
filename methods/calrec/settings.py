"""The settings of CALRec, with the paper's values as defaults where it gives them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from harness.settings import setting

TINY = "tiny"
TOKEN_MEAN = "token_mean"  # noqa: S105 - a reduction, no password
SEQUENCE_SUM = "sequence_sum"
AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"

BM25, HIERARCHICAL = "bm25", "hierarchical"
FREE, TRIE = "free", "trie"
CALREC_TEMPLATE, GPT4REC_TEMPLATE = "calrec", "gpt4rec"
FULL_TEXT, TITLE = "full", "title"
BUILT_IN, VLLM = "built-in", "vllm"

PAPER_MIXTURE = "calrec-stage-one"
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
    lora_rank: int = setting(
        0,
        "rank of LoRA's adapters (peft) on all linear layers, the only weights then trained; 0 "
        "trains the whole model (the paper)",
        minimum=0,
    )
    lora_alpha: int = setting(16, "LoRA's scale, divided by the rank", minimum=1)
    lora_dropout: float = setting(0.0, "dropout before LoRA's adapters", minimum=0, maximum=1)
    template: str = setting(
        CALREC_TEMPLATE,
        "prompt strings: calrec (section 3.2) or gpt4rec (table 6: items in a row, one question)",
        choices=(CALREC_TEMPLATE, GPT4REC_TEMPLATE),
    )
    item_text: str = setting(
        FULL_TEXT,
        "what of an item is read, written and searched: its full text, or its first attribute "
        "alone (GPT4Rec reads titles)",
        choices=(FULL_TEXT, TITLE),
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
    stage1: str | None = setting(
        None,
        "the mixture of stage I, joint fine-tuning before the data set's own: `calrec-stage-one` "
        "(the paper's fourteen categories), `local-stage-one`, or a .toml file; none leaves "
        "stage I out",
    )
    stage1_steps: int = setting(150_000, "steps of stage I (the paper: 150,000)", minimum=1)
    stage1_check_every: int = setting(
        15_000,
        "steps between checkpoints of stage I, the best of which is kept by the mixture's "
        "selecting data set",
        minimum=1,
    )
    epochs: int = setting(
        10, "epochs of fine-tuning at most, one target per user in each; 0 leaves it out", minimum=0
    )
    fine_tuning_steps: int | None = setting(
        None, "steps of fine-tuning at most, within its epochs; none: all", minimum=1
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
    training_precision: str = setting(
        AUTO,
        "products in training: auto (bfloat16 on a GPU, else float32), float32 or bfloat16; "
        "weights and losses are float32",
        choices=(AUTO, FLOAT32, BFLOAT16),
    )
    gradient_checkpointing: bool = setting(
        False, "compute activations again in place of keeping them: less memory, more time"
    )
    save_minutes: float = setting(
        5.0, "minutes between states from which a stopped training goes on", minimum=0
    )
    alpha: float = setting(
        0.125, "weight of L_TT, history and target against target (the paper: 0.125)"
    )
    beta: float = setting(
        -0.025,
        "weight of L_UT, history against target (the paper: -0.025, negative: it raises that loss "
        "a little; 0 for games)",
    )
    contrastive_temperature: float = setting(
        0.5, "divides cosines in the contrastive losses (the paper: 0.5)", minimum=1e-3
    )
    mask_same_target: bool = setting(
        False, "leave users of the same target out of the negatives (the paper does not say so)"
    )
    pool_special_tokens: bool = setting(
        False, "whether begin and end of sequence count in the mean-pooled vectors"
    )
    term_norms: bool = setting(
        True,
        "log each loss's own gradient norm, at the first step of every epoch (it takes as long as "
        "one to three steps more)",
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
    validation_samples: int = setting(
        8, "texts sampled per user in validation, in place of n_generated", minimum=1
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
    decoding: str = setting(
        FREE,
        "free, or trie (not in the paper): only texts of the catalogue can be written, and a text "
        "ends as soon as it can be but one",
        choices=(FREE, TRIE),
    )
    generator: str = setting(
        BUILT_IN,
        "what samples: the built-in one, or vllm where it is installed",
        choices=(BUILT_IN, VLLM),
    )
    rerank: str | None = setting(
        None,
        "not in the paper: the method, NAME or NAME:PRESET, whose best items are ordered by the "
        "probabilities of their texts, in place of generation and retrieval",
    )
    rerank_top_k: int = setting(50, "how many of that method's items are reranked", minimum=1)
    matching: str = setting(
        BM25,
        "from texts to items: bm25 (algorithm 1) or hierarchical (section 6: equal attributes)",
        choices=(BM25, HIERARCHICAL),
    )
    price_per_hour: float | None = setting(
        None, "what the machine costs an hour, in any currency, for the cost per user", minimum=0
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
        if self.alpha + self.beta > 1:
            raise ValueError(
                f"alpha ({self.alpha}) and beta ({self.beta}) leave the generation loss the weight "
                f"{1 - self.alpha - self.beta}, and it must not be below 0"
            )
        if self.generator == VLLM and self.decoding == TRIE:
            raise ValueError("decoding 'trie' needs generator 'built-in': vLLM cannot follow it")
        if self.rerank is not None and (self.decoding != FREE or self.matching != BM25):
            raise ValueError(
                "rerank takes the place of generation and matching: leave decoding and matching as "
                "they are"
            )

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
        """The names of the settings that do nothing for this backbone, or beside the others."""
        if self.backbone == TINY:
            names = ["random_weights"] if self.random_weights else []
        else:
            names = [field.name for field in dataclasses.fields(self)]
            names = [name for name in names if name.startswith("tiny_")]
        if self.rerank is not None:
            names += ["n_generated", "n_predictions", "epsilon", "pooling", "modulation"]
        return names
