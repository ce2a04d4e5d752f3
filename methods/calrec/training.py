"""The three trainings as plans: tiny's stand-in for pre-training, stage I, stage II (section 3.3).

All are seeded by the cell's seed alone and read nothing but training histories.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.errors import MethodError
from harness.histories import Histories
from methods._gathering import added_up, own_rows
from methods.calrec.backbone import Backbone
from methods.calrec.domains import Domain
from methods.calrec.gradients import StepGradient, term_norms
from methods.calrec.objective import language_model_loss
from methods.calrec.optimisation import Optimisation, finite
from methods.calrec.precision import training_precision
from methods.calrec.sequences import (
    SequenceMaker,
    TrainingPair,
    drop_newest,
    language_model_windows,
    training_pairs,
)
from methods.calrec.settings import Settings
from methods.calrec.stage import Plan

# purposes that keep the random streams of the trainings apart
PRETRAINING, FINE_TUNING, STAGE_ONE = 1, 2, 3
# windows are sorted by length within so many steps, so that a step is hardly padded
POOLED_STEPS = 8
# passes are not made smaller than this
FEWEST_TOKENS = 32


# ---- tiny's stand-in for pre-training ------------------------------------------------------------


def stand_in(
    backbone: Backbone, domains: Sequence[Domain], settings: Settings, seed: int
) -> tuple[Plan, Optimisation]:
    """Return how ``tiny`` is taught the language of histories: all tokens of all histories.

    It stands in for the pre-training on text that the paper's backbone has behind it, and is
    named as a stand-in in the record.

    Raises:
        MethodError: no history holds an event.
    """
    if not any(len(domain.histories.items) for domain in domains):
        raise MethodError("calrec has nothing to learn from: every training history is empty")
    makers = [domain.maker(backbone, settings) for domain in domains]

    def batches(number: int) -> list[list[Sequence[int]]]:
        generator = np.random.default_rng([seed, PRETRAINING, number])
        windows: list[Sequence[int]] = []
        for domain, maker in zip(domains, makers, strict=True):
            windows += language_model_windows(
                domain.histories, maker, generator, settings.tiny_window_items
            )
        return batches_by_length(windows, settings.tiny_pretraining_tokens, generator)

    def accumulate(batch: Sequence[Sequence[int]], step: int, first: bool) -> dict[str, float]:
        import torch

        (state,) = np.random.SeedSequence([seed, PRETRAINING, step]).generate_state(1)
        torch.manual_seed(int(state))
        count = sum(len(window) - 1 for window in batch)
        own, total = [batch[row] for row in own_rows(len(batch))], 0.0
        if own:
            with training_precision(backbone.device, settings.training_precision):
                loss = language_model_loss(backbone, own)
            (loss / max(1, count)).backward()
            total = loss.item()
        where = f"stand-in pre-training, step {step + 1}"
        total = finite(added_up(total, backbone.device), where)
        return {"loss": total, "counted": count, "tokens": count + len(batch)}

    def summarise(sums: Mapping[str, float]) -> dict[str, float]:
        return {"token_loss": sums["loss"] / max(1.0, sums["counted"])} if sums else {}

    optimisation = Optimisation(
        backbone.trained,
        peak=settings.tiny_pretraining_learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup_steps,
        cosine_steps=settings.tiny_pretraining_epochs * len(batches(0)),
        clip=settings.gradient_clip,
    )
    plan = Plan(
        "stand-in pre-training", settings.tiny_pretraining_epochs, batches, accumulate, summarise
    )
    return plan, optimisation


def batches_by_length(
    windows: Sequence[Sequence[int]], tokens: int, generator: np.random.Generator
) -> list[list[Sequence[int]]]:
    """Cut windows into batches of about ``tokens`` tokens, of similar lengths, in random order.

    Within a pool of some batches windows are sorted by length; which pool a window falls into and
    the order of the batches are random.
    """
    shuffled = [windows[index] for index in generator.permutation(len(windows))]
    mean = max(1, sum(map(len, windows)) // max(1, len(windows)))
    size = max(1, tokens // mean)
    batches = []
    for start in range(0, len(shuffled), size * POOLED_STEPS):
        pool = sorted(shuffled[start : start + size * POOLED_STEPS], key=len)
        batches += [pool[row : row + size] for row in range(0, len(pool), size)]
    return [batches[index] for index in generator.permutation(len(batches))]


# ---- fine-tuning, in both stages -----------------------------------------------------------------


class Tuning:
    """Fine-tuning by the paper's total loss.

    Args:
        backbone: whose model is tuned.
        settings: of the method.
        seed: of the run and the stage.
    """

    def __init__(self, backbone: Backbone, settings: Settings, seed: Sequence[int]) -> None:
        self._settings = settings
        self.gradient = StepGradient(backbone, settings, seed)
        self.optimisation = Optimisation(
            backbone.trained,
            peak=settings.fine_tuning_rate,
            weight_decay=settings.weight_decay,
            warmup_steps=settings.warmup_steps,
            cosine_steps=None,
            clip=settings.gradient_clip,
        )

    def accumulate(
        self, pairs: Sequence[TrainingPair], step: int, first: bool
    ) -> Mapping[str, float]:
        """Add a batch's gradient; return the sums that `summarise` makes means of."""
        sums: dict[str, float] = {}
        if first and self._settings.term_norms:
            sums |= term_norms(self.gradient, pairs, step, self.optimisation.zero)
        losses = self.gradient.accumulate(pairs, step)
        sums |= {
            "nig": finite(losses.nig_sum, f"fine-tuning, step {step + 1} (generation loss)"),
            "target_tokens": losses.n_tokens,
            "pairs": losses.n_pairs,
            "tokens": sum(len(pair.prompt) + len(pair.target) for pair in pairs),
        }
        if losses.tt is not None and losses.ut is not None:
            sums["tt"] = finite(losses.tt, f"fine-tuning, step {step + 1} (L_TT)")
            sums["ut"] = finite(losses.ut, f"fine-tuning, step {step + 1} (L_UT)")
            sums["tokens"] += sum(len(pair.target) for pair in pairs)
        return sums

    def summarise(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Return the means that the log keeps."""
        if not sums:
            return {}
        found = {
            "nig_token_mean": sums["nig"] / max(1.0, sums["target_tokens"]),
            "nig_sequence_sum": sums["nig"] / max(1.0, sums["pairs"]),
        }
        if "tt" in sums:
            found |= {name: sums[name] / sums["steps"] for name in ("tt", "ut") if "steps" in sums}
        return found | {name: sums[name] for name in sums if name.endswith("_gradient_norm")}

    def halve(self) -> bool:
        """Make passes half as large; False where they are as small as they get."""
        if self.gradient.tokens_at_once <= FEWEST_TOKENS:
            return False
        self.gradient.tokens_at_once //= 2
        return True


def stage_two(
    tuning: Tuning, domain: Domain, maker: SequenceMaker, settings: Settings, seed: int,
    validate: Callable[[int], float] | None,
) -> Plan:  # fmt: skip
    """Return how the model is tuned on the data set at hand, one target per user and epoch.

    Args:
        tuning: what is minimised.
        domain: the target.
        maker: of its token sequences.
        settings: epochs, batch size, patience, ….
        seed: of the run.
        validate: epoch -> NDCG@10, also asked for epoch 0, the model as it came, for the log
            alone; None to train all epochs and keep the last.

    Raises:
        MethodError: no history has two events.
    """
    check_pairs(domain.histories)
    histories = domain.histories
    n_pairs = int((histories.lengths >= 2).sum())
    per_epoch = math.ceil(n_pairs / settings.batch_size)
    most = settings.fine_tuning_steps or settings.epochs * per_epoch

    def batches(number: int) -> list[list[TrainingPair]]:
        generator = np.random.default_rng([seed, FINE_TUNING, number + 1])
        pairs = training_pairs(histories, maker, generator, settings.max_dropped_events)
        order, size = generator.permutation(len(pairs)), settings.batch_size
        cut = [order[start : start + size] for start in range(0, len(order), size)]
        return [[pairs[row] for row in rows] for rows in cut[: most - number * per_epoch]]

    rounds = min(settings.epochs, math.ceil(most / per_epoch))
    return Plan(
        "fine-tuning", rounds, batches, tuning.accumulate, tuning.summarise, validate,
        settings.patience, before=True,
    )  # fmt: skip


def check_pairs(histories: Histories) -> None:
    """Raise MethodError where no history has an event to read and one to generate."""
    longest = histories.lengths.max(initial=0)
    if longest < 2:
        raise MethodError(
            "calrec has nothing to fine-tune on: it needs a training history of two events, one "
            f"to read and one to generate, and the longest has {longest}; set calrec.epochs to 0 "
            "to do without"
        )


def stage_one(
    tuning: Tuning, domains: Sequence[Domain], makers: Sequence[SequenceMaker],
    settings: Settings, seed: int, validate: Callable[[int], float] | None,
) -> Plan:  # fmt: skip
    """Return how the model is tuned on a mixture: a category by its probability, a user uniformly.

    A "round" ends with a checkpoint that ``validate`` judges; the best one is kept.
    """
    every = settings.stage1_check_every
    rounds = math.ceil(settings.stage1_steps / every)

    def batches(number: int) -> DrawnBatches:
        steps = range(number * every, min((number + 1) * every, settings.stage1_steps))
        return DrawnBatches(domains, makers, settings, seed, steps)

    return Plan(
        "stage I", rounds, batches, tuning.accumulate, tuning.summarise, validate, patience=rounds
    )


class DrawnBatches(Sequence[list[TrainingPair]]):
    """The batches of some steps of stage I, each drawn when it is asked for."""

    def __init__(
        self, domains: Sequence[Domain], makers: Sequence[SequenceMaker], settings: Settings,
        seed: int, steps: range,
    ) -> None:  # fmt: skip
        self._domains, self._makers, self._settings = domains, makers, settings
        self._seed, self._steps = seed, steps
        self._shares = np.array([domain.probability for domain in domains])
        self._shares /= self._shares.sum()
        for domain in domains:
            check_pairs(domain.histories)
        self._rows = [np.flatnonzero(domain.histories.lengths >= 2) for domain in domains]

    def __len__(self) -> int:
        """Return how many steps there are."""
        return len(self._steps)

    def __getitem__(self, index: Any) -> Any:
        """Return the batch of one step; it depends on seed and step alone."""
        generator = np.random.default_rng([self._seed, STAGE_ONE, self._steps[index]])
        size = self._settings.batch_size
        pairs = []
        for number in generator.choice(len(self._domains), size=size, p=self._shares).tolist():
            domain, rows = self._domains[number], self._rows[number]
            items = domain.histories[int(rows[generator.integers(len(rows))])]
            kept = drop_newest(items, generator, self._settings.max_dropped_events)
            pairs.append(self._makers[number].pair(kept))
        return pairs
