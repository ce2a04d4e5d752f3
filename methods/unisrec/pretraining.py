"""Pre-training on a mixture: sequences against next items and against augmented sequences.

METHODS 5.3. Every prefix of every history of every domain is read once an epoch, shuffled over all
domains, so that a batch mixes them and a domain counts by its prefixes, as in UniSRec. The shares
(`probability`) of the mixture are not used, and no domain selects a checkpoint: the last epoch's
weights are the result.

What is learnt depends on sources, settings and seed alone, never on the target: initial weights
are drawn here, and item embeddings take no part. So one result serves all targets.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import MethodError
from harness.files import canonical_json
from harness.histories import Histories
from harness.method import RunContext, SourceDomain
from methods import _spans, _text
from methods._attributes import listed
from methods._embedding import chosen_precision
from methods.unisrec import checkpoints, contrast
from methods.unisrec.checkpoints import PARTS, Cost
from methods.unisrec.settings import Settings

PRETRAINING = 1
"""Keeps the draws of pre-training apart from those of fine-tuning."""
EPOCH, STEP = 0, 1
"""Keep the draws within pre-training apart."""
GATES = ("w_gate", "w_noise")
"""Matrices that begin at 0."""
MEMORY_SHARE = 0.25
"""Of a GPU's free memory that one table of vectors may take; a larger one stays outside."""

_NOT_FOR_IT = frozenset({
    "pretraining", "pretraining_save_every", "checkpoint", "items_as", "fix_encoder", "lsa_width",
    "encoder",  # a path; the harness knows the digest of what it leads to
    "learning_rate", "batch_size", "max_epochs", "patience", "validate_every", "objective",
})  # fmt: skip
"""Settings that do not change the result; the mixture's content is known to the harness."""


def pretrained(
    network: Any,
    sources: Sequence[SourceDomain],
    settings: Settings,
    context: RunContext,
    owner: str = "unisrec",
) -> Cost:
    """Pre-train the network, go on with it, or take the weights that an earlier run left.

    The global random numbers are left as they were.

    Args:
        network: its `PARTS` are changed in place, whatever they held, and can be trained after.
        sources: at least one.
        settings: of the method.
        context: seed, device, folders, log, progress.
        owner: the method's name, for messages.

    Returns:
        What it took, and whether the weights were there already.

    Raises:
        MethodError: the encoder has no space that domains share, there is nothing to train on, the
            loss is no finite number, or files are damaged.
        UsageError, DataError: see `methods._text.item_vectors`.
    """
    import torch

    _check_encoder(settings, owner)
    with context.shared(key_of(settings, context.seed, context.device)) as folder:
        cost = checkpoints.finished(folder, owner)
        if cost is None:
            with torch.random.fork_rng(), _without_ids(network):
                examples = examples_of(sources, settings, context, owner)
                cost = PreTraining(network, examples, settings, context, folder, owner).run()
        else:
            cost = replace(cost, reused=True)
            context.progress.say(
                f"{owner}: weights that an earlier run pre-trained are used ({cost.epochs} epochs, "
                f"{cost.sequences} sequences)"
            )
        checkpoints.load_weights(folder, network, owner)
    return cost


def key_of(settings: Settings, seed: int, device: str = "cpu") -> str:
    """Return what determines the result, besides what the harness knows of itself."""
    values = {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if field.name not in _NOT_FOR_IT
    }
    values["encoder_precision"] = chosen_precision(settings.encoder_precision, device)
    return canonical_json({"pre-training": values, "seed": seed})


def _check_encoder(settings: Settings, owner: str) -> None:
    if settings.encoder == _text.TF_IDF:
        raise MethodError(
            f"{owner} cannot pre-train with {owner}.encoder={_text.TF_IDF}: it gives each catalogue"
            " a space of its own, so nothing learnt in one holds in another; name a text encoder "
            f"in {owner}.encoder, or leave {owner}.pretraining out"
        )


@contextlib.contextmanager
def _without_ids(network: Any) -> Iterator[None]:
    """Take the target's item embeddings out of the network until the block ends."""
    embeddings = network.item_embedding
    network.item_embedding = None
    try:
        yield
    finally:
        network.item_embedding = embeddings


# ---- examples ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Examples:
    """All domains' prefixes and text vectors; items are counted through all domains, from 1.

    Attributes:
        prefixes: what is read, cut to the newest events; `Spans.next_items` follow.
        rows: int64 [n_items + 1], the row of each item's vector; that of 0, padding, is not used.
        vectors: float32 [n_rows, width], a tensor, on the device where there is room.
        second: the same of texts without some words; None where none is needed.
        device: where batches are to lie.
    """

    prefixes: _spans.Spans
    rows: NDArray[np.int64]
    vectors: Any
    second: Any
    device: str

    def vectors_of(self, items: NDArray[np.int64], swapped: NDArray[np.bool_] | None) -> Any:
        """Return float32 [n, width], the vectors of items on the device.

        Args:
            items: int64 [n], none of them 0.
            swapped: bool [n], whose second vector is read; None: of none.
        """
        import torch

        rows = torch.from_numpy(self.rows[items]).to(self.vectors.device)
        found = self.vectors[rows]
        if swapped is not None:
            chosen = torch.from_numpy(swapped).to(self.vectors.device)
            found[chosen] = self.second[rows[chosen].to(self.second.device)].to(found.device)
        return found.to(self.device)


def examples_of(
    sources: Sequence[SourceDomain], settings: Settings, context: RunContext, owner: str
) -> Examples:
    """Return the prefixes and vectors of all domains.

    Raises:
        MethodError: there is nothing to train on, or the domains' vectors differ in width.
        UsageError, DataError: see `methods._text.item_vectors`.
    """
    prefixes = _spans.every_prefix(joined(sources), settings.max_history)
    if not len(prefixes):
        raise MethodError(
            f"{owner} has nothing to pre-train on: no user of the mixture has two events that may "
            f"be trained on; name another mixture in {owner}.pretraining"
        )
    firsts = [_vectors(source, settings, context, 0.0, owner) for source in sources]
    _check_widths(sources, firsts, owner)
    n_rows = np.cumsum([0, *(len(found.vectors) for found in firsts)])
    rows = [found.group + before for found, before in zip(firsts, n_rows, strict=False)]
    second = None
    if settings.seq_seq_weight and settings.augmentation_item_share < 1:
        drop = settings.word_drop_ratio
        second = _placed(
            [_vectors(source, settings, context, drop, owner) for source in sources], context.device
        )
    return Examples(
        prefixes, np.concatenate([np.zeros(1, np.int64), *rows]),
        _placed(firsts, context.device), second, context.device,
    )  # fmt: skip


def joined(sources: Sequence[SourceDomain]) -> Histories:
    """Return the histories of all domains, one domain after another, as are their items."""
    before = np.cumsum([0, *(source.n_items for source in sources)])
    n_events = np.cumsum([0, *(len(source.histories.items) for source in sources)])
    offsets = [
        source.histories.offsets[1:] + n for source, n in zip(sources, n_events, strict=False)
    ]
    items = [source.histories.items + n for source, n in zip(sources, before, strict=False)]
    return Histories(
        users=np.arange(sum(map(len, offsets)), dtype=np.int64),
        items=np.concatenate(items).astype(np.int32),
        offsets=np.concatenate([np.zeros(1, np.int64), *offsets]),
    )


def _vectors(
    source: SourceDomain, settings: Settings, context: RunContext, drop: float, owner: str
) -> _text.ItemVectors:
    """Return a domain's vectors, of those of the attributes asked for that it has.

    Attributes are named for the target, and a source need not have all of them: it is read by its
    own usual ones where it has none of them.
    """
    if settings.text != _text.TEMPLATE and settings.text_attributes is not None:
        names = [n for n in listed(settings.text_attributes) if n in source.item_attributes]
        settings = replace(settings, text_attributes=",".join(names) or None)
    return _text.item_vectors(source, settings, context, drop, owner=owner)


def _check_widths(
    sources: Sequence[SourceDomain], found: Sequence[_text.ItemVectors], owner: str
) -> None:
    widths = {source.name: one.width for source, one in zip(sources, found, strict=True)}
    if len(set(widths.values())) > 1:
        listing = ", ".join(f"{name}: {width}" for name, width in widths.items())
        raise MethodError(
            f"{owner} cannot pre-train on text vectors of different widths ({listing}); name an "
            f"encoder in {owner}.encoder that gives all domains one space"
        )


def _placed(found: Sequence[_text.ItemVectors], device: str) -> Any:
    """Return all domains' vectors as one tensor, on a GPU where there is room for it."""
    import torch

    table = torch.from_numpy(np.concatenate([one.vectors for one in found]))
    if device == "cpu" or table.nbytes > MEMORY_SHARE * torch.cuda.mem_get_info()[0]:
        return table
    return table.to(device)


# ---- training ------------------------------------------------------------------------------------


def draw_weights(network: Any, deviation: float) -> None:
    """Draw new weights for the network's `PARTS`, from torch's random numbers.

    Matrices are normal, but for the gates, which are 0; normalisations start as identities, other
    vectors at 0.
    """
    import torch

    with torch.no_grad():
        for key, weights in checkpoints.part_state(network).items():
            name = key.rpartition(".")[2]
            if weights.ndim > 1 and name not in GATES:
                weights.normal_(0.0, deviation)
            else:
                weights.fill_(1.0 if name == "weight" else 0.0)


class PreTraining:
    """Trains a network on examples, resumably; always call it with torch's random numbers kept.

    Args:
        network: without item embeddings; its `PARTS` are changed in place.
        examples: of all domains.
        settings: of the method.
        context: seed, log, progress.
        folder: for states and the result.
        owner: the method's name, for messages.
    """

    def __init__(
        self, network: Any, examples: Examples, settings: Settings, context: RunContext,
        folder: Path, owner: str,
    ) -> None:  # fmt: skip
        self._network, self._examples, self._settings = network, examples, settings
        self._context, self._folder, self._owner = context, folder, owner
        self._seed = context.seed

    def run(self) -> Cost:
        """Train all epochs, from the last state on, and write the result.

        Raises:
            MethodError: the loss is no finite number, or the state is damaged.
        """
        self._begin()
        standing, settings = self._standing, self._settings
        while standing.epoch < settings.pretraining_epochs:
            self._epoch()
            if standing.epoch % settings.pretraining_save_every == 0:
                checkpoints.save_state(self._folder, standing, self._network, self._optimiser)
        cost = Cost(
            epochs=standing.epoch, sequences=standing.sequences, seconds=standing.seconds,
            seq_item_loss=standing.seq_item_loss, seq_seq_loss=standing.seq_seq_loss,
            accuracy=standing.accuracy,
        )  # fmt: skip
        checkpoints.finish(self._folder, self._network, cost)
        return cost

    def _begin(self) -> None:
        """Draw the first weights and build the optimiser; take up the last state, if any."""
        import torch

        torch.manual_seed(self._seed)
        draw_weights(self._network, self._settings.initializer_range)
        parts = [getattr(self._network, name).requires_grad_(True) for name in PARTS]
        weights = [weights for part in parts for weights in part.parameters()]
        self._optimiser = torch.optim.Adam(weights, lr=self._settings.pretraining_learning_rate)
        self._standing = checkpoints.load_state(
            self._folder, self._network, self._optimiser, self._owner
        )

    def _epoch(self) -> None:
        """Train one epoch, count and log it."""
        standing, size = self._standing, self._settings.pretraining_batch_size
        n_prefixes = len(self._examples.prefixes)
        order = np.random.default_rng([self._seed, PRETRAINING, EPOCH, standing.epoch])
        rows = order.permutation(n_prefixes)
        sums, started = np.zeros(3), time.perf_counter()
        self._network.train()
        label = f"{self._owner}: pre-training, epoch {standing.epoch + 1}"
        with self._context.progress.bar(label, n_prefixes, "sequences") as bar:
            for step, first in enumerate(range(0, n_prefixes, size)):
                batch = rows[first : first + size]
                sums += len(batch) * np.array(self._step(batch, step))
                bar.advance(len(batch))
                bar.note(f"loss {sums[0] / (first + len(batch)):.4f}")
        means = (sums / n_prefixes).tolist()
        standing.seq_item_loss, standing.seq_seq_loss, standing.accuracy = means
        standing.epoch += 1
        standing.sequences += n_prefixes
        standing.seconds += time.perf_counter() - started
        self._log()

    def _log(self) -> None:
        standing = self._standing
        self._context.log(
            stage="pre-training", epoch=standing.epoch,
            loss=standing.seq_item_loss + self._settings.seq_seq_weight * standing.seq_seq_loss,
            seq_item_loss=standing.seq_item_loss, seq_seq_loss=standing.seq_seq_loss,
            accuracy=standing.accuracy, sequences=standing.sequences, seconds=standing.seconds,
        )  # fmt: skip

    def _step(self, rows: NDArray[np.int64], step: int) -> tuple[float, float, float]:
        """Train on one batch; return both losses and the share of next items found."""
        import torch

        key = [self._seed, PRETRAINING, STEP, self._standing.epoch, step]
        generator = np.random.default_rng(key)
        torch.manual_seed(int(generator.integers(2**62)))
        prefixes, temperature = self._examples.prefixes, self._settings.temperature
        items, lengths = prefixes.padded(rows), prefixes.lengths[rows]
        targets = prefixes.next_items(rows)
        equal = contrast.equal_others(torch.from_numpy(targets).to(self._examples.device))
        states = self._states(items, lengths, None)
        wanted = self._network.moe_adaptor(self._examples.vectors_of(targets, None))
        similar = contrast.cosines(states, wanted)
        loss = seq_item = contrast.contrastive_loss(similar, equal, temperature)
        seq_seq = torch.zeros(())
        if self._settings.seq_seq_weight:
            others = self._augmented_states(items, lengths, generator)
            seq_seq = contrast.contrastive_loss(
                contrast.cosines(states, others), equal, temperature
            )
            loss = seq_item + self._settings.seq_seq_weight * seq_seq
        self._update(loss, step)
        return seq_item.item(), seq_seq.item(), contrast.accuracy(similar, equal)

    def _augmented_states(
        self, items: NDArray[np.int64], lengths: NDArray[np.int64], generator: np.random.Generator
    ) -> Any:
        """Return the states of the batch with items dropped, or with words dropped."""
        settings = self._settings
        if generator.random() < settings.augmentation_item_share:
            fewer = contrast.with_items_dropped(items, lengths, settings.item_drop, generator)
            return self._states(*fewer, None)
        swapped = contrast.swapped_positions(items, settings.item_drop, generator)
        return self._states(items, lengths, swapped)

    def _states(
        self, items: NDArray[np.int64], lengths: NDArray[np.int64],
        swapped: NDArray[np.bool_] | None,
    ) -> Any:  # fmt: skip
        """Return float32 [n, hidden], the last states of histories; padding is not adapted.

        Args:
            items: int64 [n, longest], right-padded with 0.
            lengths: int64 [n], at least 1.
            swapped: bool [n, longest], whose second vector is read; None: of none.
        """
        import torch

        device, there = self._examples.device, items > 0
        chosen = None if swapped is None else swapped[there]
        flat = self._network.moe_adaptor(self._examples.vectors_of(items[there], chosen))
        adapted = flat.new_zeros((*items.shape, flat.shape[-1]))
        adapted[torch.from_numpy(there).to(device)] = flat
        on_device = [torch.from_numpy(array).to(device) for array in (items, lengths)]
        return self._network.encode(on_device[0], adapted, on_device[1])

    def _update(self, loss: Any, step: int) -> None:
        """Take an optimiser step; raise MethodError where the loss is no finite number."""
        value = loss.item()
        if not math.isfinite(value):
            raise MethodError(
                f"{self._owner}'s pre-training: the loss became {value} in epoch "
                f"{self._standing.epoch + 1}, step {step + 1}: lower "
                f"{self._owner}.pretraining_learning_rate (now "
                f"{self._settings.pretraining_learning_rate})"
            )
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
