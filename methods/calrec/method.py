"""CALRec as a method of the harness: backbone, training, generation, retrieval, in this order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import MethodError
from harness.files import atomic_write
from harness.histories import FloatArray, Histories, IntArray
from harness.method import Input, Method, MethodCard, RunContext, TrainingData
from harness.seeding import seed_everything
from methods.calrec.location import identity
from methods.calrec.settings import TINY, Settings

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
            "pretrained-only": {"epochs": 0},
            "untrained": {"epochs": 0, "tiny_pretraining_epochs": 0, "random_weights": True},
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
        """Return digest or revision of the backbone, where it is not the embedded one.

        Raises:
            UsageError: there is no such file or folder.
        """
        return identity(settings)

    def fit(self, data: TrainingData, context: RunContext) -> None:
        """Load the backbone, train it on the training histories, index the catalogue's texts.

        Raises:
            UsageError, DataError: the backbone cannot be found, loaded or used.
            MethodError: there is nothing to train on, or the loss is no finite number.
        """
        from methods.calrec.backbone import load_backbone
        from methods.calrec.prompts import Template
        from methods.calrec.rehearsal import check_generation
        from methods.calrec.retrieval import Retriever
        from methods.calrec.sequences import SequenceMaker

        settings: Settings = self.settings
        texts, template = data.item_texts, Template(data.verb)
        self._backbone = load_backbone(settings, texts, template, context.device, context.seed)
        self._maker = SequenceMaker(
            template,
            texts,
            self._backbone.tokenise,
            opening_ids=self._backbone.opening_ids,
            eos_id=self._backbone.eos_id,
            max_input_tokens=settings.max_input_tokens,
            max_history_items=settings.max_history_items,
        )
        self._retriever = Retriever(
            texts,
            n_predictions=settings.n_predictions,
            epsilon=settings.epsilon,
            pooling=settings.pooling,
            modulation=settings.modulation,
        )
        self._catalogue = {text.strip() for text in texts}
        self._max_new_tokens = settings.max_new_tokens or self._maker.longest_item() + 1
        self._backbone.check_room(settings.max_input_tokens, self._max_new_tokens)
        if settings.backbone != TINY:
            check_generation(self._backbone, settings.max_input_tokens)
        self._context = context
        self._folder = context.work_dir / "generated"
        self._counts = {"users": 0, "distinct": 0, "off_catalogue": 0, "cut_off": 0, "tokens": 0}
        self._fitted = True
        self._train(data.histories, context)

    def _train(self, histories: Histories, context: RunContext) -> None:
        from methods.calrec.training import fine_tune, pretrain

        # dropout draws from torch's generator, and what was imported above may have used it
        seed_everything(context.seed)
        settings, self._training = self.settings, {}
        if settings.backbone == TINY and settings.tiny_pretraining_epochs:
            self._training["pretraining_tokens"] = pretrain(
                self._backbone, histories, self._maker, settings, context
            )
        if settings.epochs:
            epoch, tokens = fine_tune(
                self._backbone,
                histories,
                self._maker,
                settings=settings,
                context=context,
                validate=(lambda epoch: self._validated(context, epoch))
                if settings.validation_users
                else None,
            )
            self._training |= {
                "kept_epoch": epoch,
                "fine_tuning_tokens": tokens,
                "fine_tuning_learning_rate": settings.fine_tuning_rate,
            }

    def _validated(self, context: RunContext, epoch: int) -> float:
        """Return validation NDCG@10; its texts go into a file of their own, out of the counts."""
        folder, counts = self._folder, dict(self._counts)
        self._folder = folder / f"validation-{epoch}"
        try:
            return context.validate(self, self.settings.validation_users)
        finally:
            self._folder, self._counts = folder, counts

    def score(self, histories: Histories, candidates: IntArray) -> FloatArray:
        """Return float64 [B, C]: Algorithm 1 over the texts generated for each history.

        Raises:
            MethodError: `fit` has not been called, or the model's logits are not finite (naming
                the user).
        """
        if not self._fitted:
            raise MethodError("calrec cannot score before fit")
        generated = self._generated(histories)
        scores = np.empty((len(histories), len(candidates)))
        for row, samples in enumerate(generated):
            try:
                scores[row] = self._retriever.scores(samples)[candidates]
            except MethodError as error:
                raise MethodError(f"calrec, user {histories.users[row]}: {error}") from error
        return scores

    def _generated(self, histories: Histories) -> list[list[Any]]:
        """Return the `GeneratedText`s of each user, and keep them in the run folder."""
        from methods.calrec.retrieval import GeneratedText

        found: list[list[Any]] = [[] for _ in range(len(histories))]
        with self._context.progress.bar("generation", len(histories), "users") as bar:
            for row, samples in self._sampled(histories):
                found[row] = [
                    GeneratedText(self._backbone.text(sample.ids), sample.log_probability)
                    for sample in samples
                ]
                self._counts["tokens"] += sum(len(sample.ids) for sample in samples)
                self._counts["cut_off"] += sum(not sample.stopped for sample in samples)
                bar.advance()
        self._keep(histories.users, found)
        return found

    def _sampled(self, histories: Histories) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield (row, its `Sample`s), in any order."""
        from methods.calrec.generation import LogitsError, generate
        from methods.calrec.precision import generating

        prompts = [self._maker.prompt(items) for items in histories]
        uniforms = [self._uniforms(int(user)) for user in histories.users]
        try:
            backbone = generating(self._backbone, self.settings.generation_precision)
            yield from generate(backbone, prompts, uniforms, self.settings.temperature)
        except LogitsError as error:
            row = error.prompt
            raise MethodError(
                f"calrec's model gave logits that are NaN or infinite for user "
                f"{histories.users[row]} (history of {histories.lengths[row]} items): its weights "
                "are damaged or training diverged; check the backbone's files, or lower "
                "calrec.learning_rate"
            ) from error

    def _uniforms(self, user: int) -> NDArray[np.float64]:
        """Return float64 [n_generated, max_new_tokens], the random numbers of one user."""
        shape = (self.settings.n_generated, self._max_new_tokens)
        return self._context.user_generator(user).random(shape)

    def _keep(self, users: NDArray[np.int64], generated: Sequence[Sequence[Any]]) -> None:
        """Write one JSON line per user (index, texts, scores) and count."""
        lines = []
        for user, samples in zip(users.tolist(), generated, strict=True):
            distinct = {sample.text for sample in samples}
            self._counts["users"] += 1
            self._counts["distinct"] += len(distinct)
            self._counts["off_catalogue"] += sum(
                sample.text not in self._catalogue for sample in samples
            )
            lines.append(
                {
                    "user": user,
                    "texts": [sample.text for sample in samples],
                    "log_probabilities": [sample.log_probability for sample in samples],
                }
            )
        with atomic_write(free_path(self._folder)) as stream:
            for line in lines:
                stream.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")

    def describe(self) -> Mapping[str, Any]:
        """Return parameters, tokens and what the generated texts were like."""
        if not self._fitted:
            return {}
        users = max(1, self._counts["users"])
        texts = users * self.settings.n_generated
        return {
            "parameters": self._backbone.n_parameters,
            "note": self._note(),
            **self._backbone_identity(),
            "max_new_tokens": self._max_new_tokens,
            **self._training,
            "users_generated_for": self._counts["users"],
            "generated_tokens": self._counts["tokens"],
            "distinct_texts_per_user": self._counts["distinct"] / users,
            "off_catalogue_share": self._counts["off_catalogue"] / texts,
            "cut_off_share": self._counts["cut_off"] / texts,
        }

    def _backbone_identity(self) -> dict[str, Any]:
        """Return which backbone was loaded, and which settings did nothing for it."""
        found: dict[str, Any] = {}
        if self._backbone.revision is not None:
            found["backbone_revision"] = self._backbone.revision
        if names := self.settings.without_effect:
            found["settings_without_effect"] = names
        return found

    def _note(self) -> str:
        settings = self.settings
        if settings.backbone != TINY:
            name = Path(settings.backbone).name
            if settings.random_weights:
                name += " (its architecture, from random weights)"
            tuned = "NIG loss only" if settings.epochs else "not fine-tuned"
            return f"backbone {name}, {tuned}"
        epochs = settings.tiny_pretraining_epochs
        taught = (
            f"stand-in for pre-training: language modelling over training histories, "
            f"{epochs} epochs"
            if epochs
            else "no pre-training"
        )
        tuned = "then NIG loss" if settings.epochs else "not fine-tuned"
        return f"tiny backbone from random weights; {taught}; {tuned}"


def free_path(folder: Path) -> Path:
    """Return the first path ``0001.jsonl``, ``0002.jsonl``, … in ``folder`` that is not taken."""
    number = 1
    while (path := folder / f"{number:04d}.jsonl").exists():
        number += 1
    return path
