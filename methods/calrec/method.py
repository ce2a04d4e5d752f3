"""CALRec as a method of the harness: backbone, training, generation, retrieval, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import MethodError
from harness.histories import FloatArray, Histories, IntArray
from harness.method import Input, Method, MethodCard, RunContext, TrainingData
from methods.calrec import keys
from methods.calrec.location import identity
from methods.calrec.settings import (
    FREE,
    GPT4REC_TEMPLATE,
    HIERARCHICAL,
    PAPER_MIXTURE,
    TINY,
    TRIE,
    Settings,
)

QUICK = {
    "tiny_vocabulary": 320,
    "tiny_width": 32,
    "tiny_layers": 2,
    "tiny_heads": 2,
    "tiny_pretraining_epochs": 15,
    "tiny_pretraining_learning_rate": 5e-3,
    "tiny_window_items": 6,
    "tiny_pretraining_tokens": 256,
    "max_history_items": 6,
    "epochs": 2,
    "learning_rate": 1e-3,
    "warmup_steps": 5,
    "batch_size": 64,
    "validation_users": 0,
    "n_generated": 8,
}


class CALRec(Method):
    """Generates texts of the next item and retrieves items by them (paper, section 3).

    A prompt holds the newest items of a history that fit; for an empty history it is the user
    prefix and the first-item prefix alone. Random numbers depend on (seed, user) only.
    """

    card = MethodCard(
        title="CALRec",
        paper="Li et al., CALRec: Contrastive Alignment of Generative LLMs for Sequential "
        "Recommendation, RecSys 2024",
        inputs=frozenset({Input.ITEM_TEXT}),
        presets={
            "full": {"stage1": PAPER_MIXTURE},
            "stage1-only": {"stage1": PAPER_MIXTURE, "epochs": 0},
            "stage2-only": {"stage1": None},
            "no-contrastive": {"stage1": PAPER_MIXTURE, "alpha": 0.0, "beta": 0.0},
            "pretrained-only": {"epochs": 0},
            "gpt4rec-template": {"epochs": 0, "template": GPT4REC_TEMPLATE},
            "hierarchical": {"matching": HIERARCHICAL},
            "untrained": {"epochs": 0, "tiny_pretraining_epochs": 0, "random_weights": True},
            "trie": {"decoding": TRIE},
            "rerank": {"rerank": "sasrec"},
        },
        requires=("torch", "transformers", "tokenizers", "numba"),
        ties_identical_texts=True,
        sampled=True,
        quick_settings=QUICK,
    )
    Settings = Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._fitted = False

    @classmethod
    def external_inputs(cls, settings: Settings) -> Mapping[str, str]:
        """Return digest or revision of the backbone, and the code of a method to rerank.

        Raises:
            UsageError: there is no such file, folder or method, or it cannot be reranked.
        """
        found = dict(identity(settings))
        if settings.rerank is not None:
            from methods.calrec.reranking import proposer_identity

            found |= proposer_identity(settings.rerank)
        return found

    @classmethod
    def mixture(cls, settings: Settings) -> str | None:
        """Return stage I's."""
        return settings.stage1

    def fit(self, data: TrainingData, context: RunContext) -> None:
        """Load the backbone, train it through its stages, index the catalogue's texts.

        What an earlier run of the same weights left is taken, and a stopped one gone on with.

        Raises:
            UsageError, DataError: the backbone cannot be found, loaded or used.
            MethodError: there is nothing to train on, or the loss is no finite number.
        """
        from methods.calrec.accounting import Accounts
        from methods.calrec.domains import source_domains, target_domain
        from methods.calrec.matching import HierarchicalMatcher
        from methods.calrec.retrieval import Retriever
        from methods.calrec.weights import Trainer, report
        from methods.calrec.writing import Writer

        settings: Settings = self.settings
        target = target_domain(data, settings)
        trainer = Trainer(target, source_domains(data.sources, settings), settings, context)
        self._backbone, self._context = trainer.backbone, context
        self._maker = target.maker(self._backbone, settings)
        self._writer = Writer(self._backbone, self._maker, settings, context, len(target.texts))
        if settings.backbone != TINY:
            from methods.calrec.rehearsal import check_generation

            check_generation(self._backbone, settings.max_input_tokens)
        self._retriever = Retriever.of(target.texts, settings)
        self._matcher = HierarchicalMatcher.of(target.texts, settings)
        self._catalogue = {text.strip() for text in target.texts}
        self._accounts, self._reranker = Accounts(), None
        self._validating: int | None = None
        self._weights_key = trainer.weights_key()
        self._fitted = True
        trainer.train(self._maker, self._validated if settings.validation_users else None)
        self._training = report(trainer.done)
        self._writer.weights_changed()
        self._writer.seconds = 0.0  # validation's are not counted
        # two rows that differ only in retrieval find each other's texts here
        self._texts = context.shared_dir(keys.texts_key(settings, self._weights_key))
        if settings.rerank is not None:
            self._reranker = self._made_reranker(data)

    def _made_reranker(self, data: TrainingData) -> Any:
        from methods.calrec.precision import generating
        from methods.calrec.reranking import (
            Reranker,
            TextScorer,
            fitted_proposer,
            proposer_identity,
        )

        settings = self.settings
        proposer = fitted_proposer(settings.rerank, data, self._context)
        scorer = TextScorer(generating(self._backbone, settings.generation_precision))
        identity = proposer_identity(settings.rerank)
        key = keys.reranking_key(settings, self._weights_key, identity)
        folder = self._context.shared_dir(key)
        return Reranker(proposer, scorer, data.n_items, settings.rerank_top_k, folder)

    def _validated(self, epoch: int) -> float:
        """Return validation NDCG@10, by the paper's own inference on fewer texts per user."""
        self._validating = epoch
        self._writer.weights_changed()
        try:
            return self._context.validate(self, self.settings.validation_users)
        finally:
            self._validating = None

    def score(self, histories: Histories, candidates: IntArray) -> FloatArray:
        """Return float64 [B, C]: Algorithm 1 over the texts generated for each history.

        Hierarchical matching and reranking, where settings ask for them, take its place.

        Raises:
            MethodError: `fit` has not been called, or the model's logits are not finite (naming
                the user).
        """
        if not self._fitted:
            raise MethodError("calrec cannot score before fit")
        validating = self._validating is not None
        if self._reranker is not None and not validating:
            eos = self._maker.eos_id
            prompts = [self._maker.prompt(items) for items in histories]
            found = self._reranker.scores(
                histories, prompts, lambda index: [*self._maker.item(index), eos]
            )
            return found[:, candidates]
        matches = self.settings.matching == HIERARCHICAL and not validating
        items = self._matcher if matches else self._retriever
        scores = np.empty((len(histories), len(candidates)))
        for row, written in enumerate(self._written(histories)):
            try:
                scores[row] = items.scores(written.texts)[candidates]
            except MethodError as error:
                raise MethodError(f"calrec, user {histories.users[row]}: {error}") from error
        return scores

    def _written(self, histories: Histories) -> list[Any]:
        """Return what was written for each user, kept in the run folder."""
        from methods.calrec.texts import name_of, write_texts, written_in_parts

        settings, epoch = self.settings, self._validating
        own = self._context.work_dir / "generated"
        samples, decoding = settings.n_generated, settings.decoding
        if epoch is None:
            folder = self._texts
        else:
            own = own / f"validation-{epoch}"
            samples, decoding = settings.validation_samples, FREE
            folder = self._context.shared_dir(keys.validation_key(self._weights_key, epoch))
        found: list[Any] = []
        with self._context.progress.bar("generation", len(histories), "users") as bar:
            for part in written_in_parts(self._writer, histories, samples, decoding, folder, bar):
                found += part.written
                write_texts(own / name_of(part.histories), part.histories, part.written)
                if epoch is None:
                    self._accounts.add(part.written, self._catalogue, self._matcher, part.reused)
        return found

    def describe(self) -> Mapping[str, Any]:
        """Return parameters, what training and generation took, what the texts were like."""
        if not self._fitted:
            return {}
        from methods.calrec.accounting import utilisation

        settings, n_weights = self.settings, self._backbone.n_parameters
        device = self._context.device
        found = {
            "parameters": n_weights,
            "note": self._note(),
            **self._backbone_identity(),
            "max_new_tokens": self._writer.max_new_tokens,
            **self._training,
            "fine_tuning_learning_rate": settings.fine_tuning_rate,
        }
        if rate := self._training.get("fine_tuning_tokens_per_second"):
            # forward, and backward to states and to the weights that are trained
            n_trained = sum(weights.numel() for weights in self._backbone.trained)
            per_token = 4 * n_weights + 2 * n_trained
            found |= utilisation("fine_tuning", per_token * rate, device)
        if self._reranker is None:
            found |= self._accounts.report(
                len(self._catalogue), n_weights, self._writer.seconds, device,
                settings.price_per_hour,
            )  # fmt: skip
        return found

    def _backbone_identity(self) -> dict[str, Any]:
        """Return which backbone was loaded, and which settings did nothing for it."""
        found: dict[str, Any] = {}
        if self._backbone.revision is not None:
            found["backbone_revision"] = self._backbone.revision
        if names := self.settings.without_effect:
            found["settings_without_effect"] = names
        return found

    def _note(self) -> str:
        """Return in one line what was trained, on what, by which losses."""
        settings = self.settings
        if settings.backbone != TINY:
            name = Path(settings.backbone).name
            if settings.random_weights:
                name += " (its architecture, from random weights)"
            parts = [f"backbone {name}"]
        elif settings.tiny_pretraining_epochs:
            parts = [
                "tiny backbone from random weights; stand-in for pre-training: language modelling "
                f"over training histories, {settings.tiny_pretraining_epochs} epochs"
            ]
        else:
            parts = ["tiny backbone from random weights; no pre-training"]
        if settings.lora_rank and (settings.epochs or settings.stage1):
            parts.append(f"LoRA of rank {settings.lora_rank} in place of all weights")
        parts.append(self._tuned())
        if settings.decoding == TRIE:
            parts.append("decoding constrained to the catalogue, not in the paper")
        if settings.rerank is not None:
            parts.append(f"reranks {settings.rerank}, not in the paper")
        return "; ".join(parts)

    def _tuned(self) -> str:
        settings = self.settings
        stages = [f"stage I on {Path(settings.stage1).stem}"] if settings.stage1 else []
        if settings.epochs:
            steps = self._training.get("fine_tuning_steps", 0)
            few = f", {steps} steps" if settings.fine_tuning_steps else ""
            stages.append(f"stage II{few}")
        if not stages:
            return "not fine-tuned"
        contrastive = settings.alpha or settings.beta
        losses = "NIG and contrastive losses" if contrastive else "NIG loss only"
        return f"{' and '.join(stages)}, {losses}"
