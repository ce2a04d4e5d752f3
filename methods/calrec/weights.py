"""Trained weights: each stage is run, gone on with, or taken from an earlier run that left it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.errors import MethodError
from harness.method import RunContext
from harness.metrics import SELECTION_METRIC, mean
from harness.ranking import rank_targets
from harness.seeding import seed_everything
from methods import _gathering as gathering
from methods.calrec import keys, states, texts
from methods.calrec.backbone import Backbone
from methods.calrec.domains import Domain
from methods.calrec.loading import load_backbone
from methods.calrec.optimisation import Optimisation
from methods.calrec.retrieval import Retriever
from methods.calrec.sequences import SequenceMaker
from methods.calrec.settings import FREE, TINY, Settings
from methods.calrec.stage import Plan, Stage
from methods.calrec.states import Result
from methods.calrec.training import STAGE_ONE, Tuning, stage_one, stage_two, stand_in
from methods.calrec.writing import Writer

SELECTION = 7
"""Keeps the draw of selecting users apart from other streams."""


@dataclass(frozen=True)
class Done:
    """A stage that is finished.

    Attributes:
        result: what it took.
        reused: whether an earlier run had done it.
    """

    result: Result
    reused: bool


class Trainer:
    """Trains the backbone of one run through its stages.

    Args:
        target: the data set that is evaluated.
        sources: the parts of the mixture, empty without stage I.
        settings: of the method.
        context: of the run.
    """

    def __init__(
        self, target: Domain, sources: Sequence[Domain], settings: Settings, context: RunContext
    ) -> None:
        self._target, self._sources = target, list(sources)
        self._settings, self._context = settings, context
        # with stage I, all that comes before the target is made of the sources alone
        self._early = self._sources or [target]
        self.done: dict[str, Done] = {}
        catalogue = [text for domain in self._early for text in domain.texts]
        # not the target's verb either: stage I's weights must mean the same for every target
        templates = [domain.template for domain in self._early]
        self.backbone: Backbone = load_backbone(
            settings, catalogue, templates, context.device, context.seed
        )

    def weights_key(self) -> str:
        """Return what determines the weights in the end."""
        data = [domain.digest for domain in [*self._sources, self._target]]
        held_out = self._context.validation_digest
        return keys.stage_two_key(self._settings, self._context.seed, data, held_out)

    def train(
        self, maker: SequenceMaker, validate: Callable[[int], float] | None
    ) -> None:  # fmt: skip
        """Run all stages that the settings ask for.

        Args:
            maker: of the target's token sequences.
            validate: epoch -> NDCG@10 on the target's validation items; None for no validation.

        Raises:
            MethodError: there is nothing to train on, the loss is no finite number, or files of
                earlier runs are damaged.
        """
        # dropout draws from torch's generator, and what was imported may have used it
        seed_everything(self._context.seed)
        settings, seed = self._settings, self._context.seed
        early = [domain.digest for domain in self._early]
        if settings.backbone == TINY and settings.tiny_pretraining_epochs:
            self._stage(
                "pretraining", keys.stand_in_key(settings, seed, early),
                lambda: (*stand_in(self.backbone, self._early, settings, seed), lambda: False),
            )  # fmt: skip
        if self._sources:
            selecting = self._selecting()
            key = keys.stage_one_key(settings, seed, early, selecting is not None)
            self._stage("stage1", key, lambda: self._stage_one(selecting, key))
        if settings.epochs:
            self._stage("fine_tuning", self.weights_key(), lambda: self._stage_two(maker, validate))

    def _stage(
        self, name: str, key: str,
        prepare: Callable[[], tuple[Plan, Optimisation, Callable[[], bool]]],
    ) -> None:  # fmt: skip
        """Do one stage in the folder of its key, unless it is done there."""
        with gathering.first_holds(self._context, key) as folder:
            result = gathering.agreed(states.finished(folder))
            reused = result is not None
            if result is None:
                plan, optimisation, halve = prepare()
                stage = Stage(
                    self.backbone, plan, optimisation, self._context, folder,
                    60 * self._settings.save_minutes, halve,
                )  # fmt: skip
                result = stage.run()
            else:
                states.load_weights(folder / states.WEIGHTS, self.backbone.model)
                for line in result.log:
                    self._context.log(**line)
        self.done[name] = Done(result, reused)

    def _stage_one(
        self, selecting: Domain | None, key: str
    ) -> tuple[Plan, Optimisation, Callable[[], bool]]:  # fmt: skip
        settings, seed = self._settings, self._context.seed
        makers = [domain.maker(self.backbone, settings) for domain in self._sources]
        validate = None
        if selecting is not None:
            judge = Judge(selecting, self.backbone, settings, self._context, key)
            validate = judge.ndcg
        tuning = Tuning(self.backbone, settings, (seed, STAGE_ONE))
        plan = stage_one(tuning, self._sources, makers, settings, seed, validate)
        return plan, tuning.optimisation, tuning.halve

    def _stage_two(
        self, maker: SequenceMaker, validate: Callable[[int], float] | None
    ) -> tuple[Plan, Optimisation, Callable[[], bool]]:
        settings, seed = self._settings, self._context.seed
        tuning = Tuning(self.backbone, settings, (seed,))
        plan = stage_two(tuning, self._target, maker, settings, seed, validate)
        return plan, tuning.optimisation, tuning.halve

    def _selecting(self) -> Domain | None:
        if not self._settings.validation_users:
            return None
        for domain in self._sources:
            if domain.selection_targets is not None:
                return domain
        return None


class Judge:
    """Judges stage I's checkpoints: pessimistic NDCG@10 on the selecting data set's last events.

    By the paper's own inference, for a seeded sample of users.
    """

    def __init__(
        self, domain: Domain, backbone: Backbone, settings: Settings, context: RunContext,
        key: str,
    ) -> None:  # fmt: skip
        self._settings, self._context, self._key = settings, context, key
        maker = domain.maker(backbone, settings)
        self._writer = Writer(backbone, maker, settings, context, len(domain.texts))
        self._retriever = Retriever.of(domain.texts, settings)
        generator = np.random.default_rng([context.seed, STAGE_ONE, SELECTION])
        count = min(settings.validation_users, len(domain.histories))
        rows = np.sort(generator.choice(len(domain.histories), size=count, replace=False))
        if domain.selection_targets is None or not count:
            raise MethodError(f"calrec: {domain.name} has nothing to select checkpoints by")
        self._histories = domain.histories.select(rows)
        self._targets = domain.selection_targets[rows]

    def ndcg(self, number: int) -> float:
        """Return the metric of the model as it is."""
        folder = self._context.shared_dir(keys.validation_key(self._key, number))
        self._writer.weights_changed()
        samples = self._settings.validation_samples
        values = []
        for part in texts.written_in_parts(self._writer, self._histories, samples, FREE, folder):
            for found in part.written:
                scores = self._retriever.scores(found.texts)[None]
                row = len(values)
                ranks = rank_targets(scores, self._targets[row : row + 1])
                values.append(SELECTION_METRIC.values(ranks.pessimistic)[0])
        return mean(np.array(values))


def report(done: dict[str, Done]) -> dict[str, Any]:
    """Return what the record keeps of the stages."""
    found: dict[str, Any] = {}
    for name, stage in done.items():
        result = stage.result
        found |= {
            f"{name}_tokens": result.tokens,
            f"{name}_steps": result.steps,
            f"{name}_seconds": round(result.seconds, 3),
            f"{name}_reused": stage.reused,
        }
        if result.seconds:
            found[f"{name}_tokens_per_second"] = round(result.tokens / result.seconds, 1)
    if "fine_tuning" in done:
        found["kept_epoch"] = done["fine_tuning"].result.kept_round
    if "stage1" in done:
        found["stage1_kept_check"] = done["stage1"].result.kept_round
    return found
