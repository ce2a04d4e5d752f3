"""The two trainings: tiny's stand-in for pre-training, and fine-tuning (paper, section 3.3).

Both are seeded by the cell's seed alone and read nothing but the training histories.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from harness.errors import MethodError
from harness.histories import Histories
from harness.method import RunContext
from harness.progress import Bar
from methods.calrec.backbone import Backbone
from methods.calrec.objective import language_model_loss, next_item_loss
from methods.calrec.optimisation import BestEpoch, Optimisation, finite
from methods.calrec.precision import training_precision
from methods.calrec.sequences import (
    SequenceMaker,
    TrainingPair,
    language_model_windows,
    training_pairs,
)
from methods.calrec.settings import SEQUENCE_SUM, Settings

# purposes that keep the random streams of the two trainings apart
PRETRAINING, FINE_TUNING = 1, 2
# windows are sorted by length within so many steps, so that a step is hardly padded
POOLED_STEPS = 8


def pretrain(
    backbone: Backbone,
    histories: Histories,
    maker: SequenceMaker,
    settings: Settings,
    context: RunContext,
) -> int:
    """Teach ``tiny`` the language of histories: all tokens of all training histories.

    It stands in for the pre-training on text that the paper's backbone has behind it, and is
    named as a stand-in in the record. Returns the number of tokens read.

    Raises:
        MethodError: no history holds an event, or the loss is no finite number.
    """
    tokens_read = 0
    events = len(histories.items)
    if not events:
        raise MethodError("calrec has nothing to learn from: every training history is empty")
    optimisation: Optimisation | None = None
    for epoch in range(settings.tiny_pretraining_epochs):
        generator = np.random.default_rng([context.seed, PRETRAINING, epoch])
        windows = language_model_windows(histories, maker, generator, settings.tiny_window_items)
        batches = batches_by_length(windows, settings.tiny_pretraining_tokens, generator)
        if optimisation is None:
            optimisation = Optimisation(
                backbone.model,
                peak=settings.tiny_pretraining_learning_rate,
                weight_decay=settings.weight_decay,
                warmup_steps=settings.warmup_steps,
                cosine_steps=settings.tiny_pretraining_epochs * len(batches),
                clip=settings.gradient_clip,
            )
        label = f"stand-in pre-training {epoch + 1}/{settings.tiny_pretraining_epochs}"
        with context.progress.bar(label, events, "items") as bar:
            loss = _language_model_epoch(backbone, batches, optimisation, bar, events)
        tokens_read += sum(map(len, windows))
        context.log(stage="stand-in pre-training", epoch=epoch + 1, token_loss=loss)
    return tokens_read


def _language_model_epoch(
    backbone: Backbone,
    batches: Sequence[Sequence[Sequence[int]]],
    optimisation: Optimisation,
    bar: Bar,
    events: int,
) -> float:
    """Read every batch once, one step each; returns the mean loss of a token, in nats."""
    backbone.model.train()
    total, counted, shown = 0.0, 0, 0
    for number, batch in enumerate(batches, 1):
        count = sum(len(window) - 1 for window in batch)
        with training_precision(backbone.device):
            loss = language_model_loss(backbone, batch)
        (loss / max(1, count)).backward()
        total, counted = total + finite(loss.item(), "stand-in pre-training"), counted + count
        optimisation.step()
        done = events * number // len(batches)
        bar.advance(done - shown)
        bar.note(f"loss {total / max(1, counted):.3f}")
        shown = done
    return total / max(1, counted)


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


def fine_tune(
    backbone: Backbone,
    histories: Histories,
    maker: SequenceMaker,
    *,
    settings: Settings,
    context: RunContext,
    validate: Callable[[int], float] | None,
) -> tuple[int, int]:
    """Fine-tune by the next-item generation loss; keep the weights of the best validated epoch.

    Args:
        backbone: the model, changed in place.
        histories: the training histories; users with one training event have no target.
        maker: makes the token sequences.
        settings: epochs, batch size, patience, ….
        context: seed, log and progress.
        validate: epoch -> NDCG@10 (higher is better), also asked for epoch 0, the model as it
            came, for the log alone; None to train all epochs and keep the last.

    Returns:
        The epoch whose weights were kept, counted from 1, and the number of tokens read.

    Raises:
        MethodError: no history has two events, or the loss is no finite number.
    """
    if histories.lengths.max(initial=0) < 2:
        raise MethodError(
            "calrec has nothing to fine-tune on: it needs a training history of two events, one "
            f"to read and one to generate, and the longest has {histories.lengths.max(initial=0)}"
            "; set calrec.epochs to 0 to do without"
        )
    keeper = BestEpoch(backbone.model, settings.patience, validate)
    optimisation = Optimisation(
        backbone.model,
        peak=settings.fine_tuning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup_steps,
        cosine_steps=None,
        clip=settings.gradient_clip,
    )
    if validate is not None:
        context.log(stage="fine-tuning", epoch=0, validation_ndcg10=validate(0))
    tokens_read = 0
    for epoch in range(1, settings.epochs + 1):
        generator = np.random.default_rng([context.seed, FINE_TUNING, epoch])
        pairs = training_pairs(histories, maker, generator, settings.max_dropped_events)
        with context.progress.bar(f"fine-tuning {epoch}", len(pairs), "users") as bar:
            losses = _fine_tuning_epoch(
                backbone, pairs, optimisation, settings=settings, generator=generator, bar=bar
            )
        tokens_read += sum(len(pair.prompt) + len(pair.target) for pair in pairs)
        metric = keeper.saw(epoch)
        context.log(stage="fine-tuning", epoch=epoch, validation_ndcg10=metric, **losses)
        if keeper.exhausted:
            break
    return keeper.restore(), tokens_read


def _fine_tuning_epoch(
    backbone: Backbone,
    pairs: Sequence[TrainingPair],
    optimisation: Optimisation,
    *,
    settings: Settings,
    generator: np.random.Generator,
    bar: Bar,
) -> dict[str, float]:
    """One pass over all users; returns the loss in both reductions."""
    backbone.model.train()
    total, n_tokens = 0.0, 0
    order = generator.permutation(len(pairs))
    for start in range(0, len(order), settings.batch_size):
        batch = [pairs[index] for index in order[start : start + settings.batch_size]]
        count = sum(len(pair.target) for pair in batch)
        literal = settings.nig_reduction == SEQUENCE_SUM
        for part in passes(batch, settings.tokens_at_once):
            with training_precision(backbone.device):
                loss = next_item_loss(backbone, part)
            (loss / (len(batch) if literal else count)).backward()
            total += finite(loss.item(), "fine-tuning")
            bar.advance(len(part))
        optimisation.step()
        n_tokens += count
        bar.note(f"loss {total / n_tokens:.3f}")
    return {
        "nig_token_mean": total / max(1, n_tokens),
        "nig_sequence_sum": total / max(1, len(pairs)),
    }


def passes(pairs: Sequence[TrainingPair], tokens_at_once: int) -> Iterator[list[TrainingPair]]:
    """Cut a batch into parts of similar lengths that hold up to ``tokens_at_once`` tokens."""
    part: list[TrainingPair] = []
    for pair in sorted(pairs, key=lambda pair: len(pair.prompt) + len(pair.target)):
        length = len(pair.prompt) + len(pair.target)  # the longest so far
        if part and (len(part) + 1) * length > tokens_at_once:
            yield part
            part = []
        part.append(pair)
    if part:
        yield part
