"""How fast the sequence networks train here and in RecBole's fixed width, on the same examples.

Run from the checkout::

    python -m benchmarks.network_throughput [--methods bert4rec,fdsa] [--rows 8000]

The peer of each network is RecBole's own class with its own ``calculate_loss`` (of UniSRec the
same network with one product per expert, as its paper has it), on batches in random order, all
padded to 50. Ours is what the method trains with: batches of similar length, cut to the longest,
and the loss at masked items alone for BERT4Rec. Both start from the same weights, take Adam steps,
use one thread and the same process; anomaly detection, which importing RecBole switches on for the
process, is off for both. Only CPU seconds are counted, the making of batches included.

The last figure is the largest difference of losses, ours against the peer's, over some batches of
the same examples without dropout. Item texts are read by latent semantic analysis, whose vectors
stand in for an encoder's: 384 wide, as MiniLM's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.data.prepared import PreparedData
from harness.errors import HarnessError
from harness.histories import Histories
from harness.method import RunContext, TrainingData
from harness.progress import Progress
from harness.registry import load_method
from harness.settings import Layer, resolve
from harness.splits import leave_one_out
from methods import _recbole, _spans
from methods._sequential import EVERY_PREFIX, SequentialMethod, training_batch

WANTED = {"sasrec": 4.0, "bert4rec": 4.0, "fdsa": 4.0, "s3rec": 4.0, "unisrec": 3.0}
ALLOWED_DIFFERENCE = 1e-5
COMPARED_BATCHES = 5

Loss = Callable[[dict[str, Any]], Any]


def made(name: str, data: PreparedData, histories: Histories, **values: Any) -> SequentialMethod:
    """Return a method whose network is built and not trained."""
    method = load_method(name).method
    quick = {"encoder": "tf-idf", "lsa_width": 384} if hasattr(method.Settings, "encoder") else {}
    if name == "s3rec":
        quick["pretraining_epochs"] = 0
    layer = Layer("benchmark", {**quick, **values})
    built = method(resolve(method.Settings, name, [layer])[0])
    folder = Path(tempfile.mkdtemp())
    context = RunContext(
        0, "cpu", folder, Progress(shown=False), lambda method, users: 0.0, lambda values: None
    )
    training = TrainingData(
        data.card.name, len(data.item_texts), histories, "bought", method.card.inputs,
        data.item_texts, data.item_attributes,
    )  # fmt: skip
    built._model = built.build(training, context)
    return built


def prefixes(histories: Histories, rows: int | None) -> _spans.Spans:
    """Return every prefix, or a sample of so many."""
    spans = _spans.every_prefix(histories, 50)
    if rows is None or rows >= len(spans):
        return spans
    kept = np.random.default_rng(0).choice(len(spans), rows, replace=False)
    return _spans.Spans(spans.items, spans.starts[kept], spans.lengths[kept])


def our_batches(
    method: SequentialMethod, spans: _spans.Spans, batch_size: int
) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield an epoch as our loop trains it, and how many examples are in each batch."""
    generator = np.random.default_rng([0, 1])
    ones = np.ones_like(spans.lengths)
    for rows in _spans.batches_by_length(spans.lengths, ones, batch_size, generator):
        yield _batch(method, spans, rows, generator, None), len(rows)


def their_batches(
    method: SequentialMethod, spans: _spans.Spans, batch_size: int
) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield an epoch in random order, 50 wide."""
    generator = np.random.default_rng([0, 1])
    order = generator.permutation(len(spans))
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        yield as_recbole(method, _batch(method, spans, rows, generator, 50)), len(rows)


def _batch(
    method: SequentialMethod, spans: _spans.Spans, rows: Any, generator: Any, width: int | None
) -> dict[str, Any]:
    if method.name != "bert4rec":
        return training_batch(spans, rows, EVERY_PREFIX, "cpu", width)[0]
    from methods.bert4rec.method import masked_batch

    mask = len(method._model.output_bias)
    return masked_batch(method.settings, spans, rows, mask, generator, "cpu", width)[0]


def as_recbole(method: SequentialMethod, batch: dict[str, Any]) -> dict[str, Any]:
    """Return the batch as RecBole's loss reads it: for BERT4Rec, lists of places and items."""
    if method.name != "bert4rec":
        return batch
    import torch

    targets = batch["item_id"]
    most = int(method.settings.mask_ratio * method.settings.max_history)
    behind = (targets > 0).flip(1).cumsum(1).flip(1)
    slots = torch.where(targets > 0, most - behind, most)
    rows, places = torch.nonzero(targets, as_tuple=True)
    items, index = torch.zeros(2, len(targets), most, dtype=torch.long)
    items[rows, slots[rows, places]] = targets[rows, places]
    index[rows, slots[rows, places]] = places
    return {"mask": batch["item_id_list"], "pos": items, "neg": items, "index": index}


def their_loss(method: SequentialMethod) -> Loss:
    """Return the peer's loss, on the same weights."""
    network = method._model
    if method.name == "unisrec":
        return lambda batch: one_product_per_expert(network, batch)
    found = _recbole.model_class(*{
        "sasrec": ("sasrec", "SASRec"), "bert4rec": ("bert4rec", "BERT4Rec"),
        "fdsa": ("fdsa", "FDSA"), "s3rec": ("s3rec", "S3Rec"),
    }[method.name])  # fmt: skip
    if method.name == "bert4rec":
        names = ("MASK_ITEM_SEQ", "POS_ITEMS", "NEG_ITEMS", "MASK_INDEX")
        for name, key in zip(names, ("mask", "pos", "neg", "index"), strict=True):
            setattr(network, name, key)
    if method.name == "s3rec":
        import torch

        network.train_stage, network.loss_fct = "finetune", torch.nn.CrossEntropyLoss()
    return lambda batch: found.calculate_loss(network, batch)


def one_product_per_expert(network: Any, batch: dict[str, Any]) -> Any:
    """Return UniSRec's loss with its adaptor as the paper writes it, expert by expert."""
    import torch
    from torch.nn import functional

    def adapted(vectors: Any) -> Any:
        gates = torch.softmax(network.moe_adaptor._gate_logits(vectors), dim=-1)
        chance = network.moe_adaptor.dropout
        parts = [
            expert.lin(functional.dropout(vectors, chance, network.training) - expert.bias)
            for expert in network.moe_adaptor.experts
        ]
        return (gates.unsqueeze(-1) * torch.stack(parts, dim=-2)).sum(dim=-2)

    items = batch["item_id_list"]
    states = network.encode(items, adapted(network.rows[items]), batch["item_length"])
    candidates = adapted(network.rows)
    if network.item_embedding is not None:
        candidates = candidates + network.item_embedding.weight
    cosines = functional.normalize(states, dim=1) @ functional.normalize(candidates, dim=1).T
    return functional.cross_entropy(cosines / network.temperature, batch["item_id"])


def examples_per_second(network: Any, loss: Loss, batches: Iterable[Any]) -> float:
    """Return examples per CPU second of one pass of Adam steps."""
    import torch

    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    seen, started = 0, time.process_time()
    for batch, n_examples in batches:
        optimizer.zero_grad(set_to_none=True)
        value = loss(batch)
        if value.isfinite():  # one that asks for nothing at all is 0 / 0 in RecBole
            value.backward()
            optimizer.step()
        seen += n_examples
    return seen / (time.process_time() - started)


def difference(method: SequentialMethod, spans: _spans.Spans, batch_size: int) -> float:
    """Return the largest difference of losses, ours against the peer's, on equal examples."""
    import torch

    network, peer = method._model.eval(), their_loss(method)
    largest = 0.0
    short = np.flatnonzero(spans.lengths <= 25)  # so that every batch is cut
    with torch.no_grad():
        for number in range(COMPARED_BATCHES):
            rows = np.random.default_rng(number).choice(short, batch_size, replace=False)
            cut, wide = (
                _batch(method, spans, rows, np.random.default_rng(number), width)
                for width in (None, 50)
            )
            if method.name == "bert4rec":  # the same masks, wider
                wide = {
                    key: torch.nn.functional.pad(value, (0, 50 - value.shape[1]))
                    if value.dim() == 2 else value
                    for key, value in cut.items()
                }  # fmt: skip
            ours, theirs = network.calculate_loss(cut), peer(as_recbole(method, wide))
            largest = max(largest, abs(ours.item() - theirs.item()))
    return largest


def main() -> int:
    """Print both speeds, their ratio and the difference of losses; 1 if a target is missed."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default=",".join(WANTED))
    parser.add_argument("--dataset", default="scientific")
    parser.add_argument("--rows", type=int, help="examples to use; all by default")
    parser.add_argument("--batch-size", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
        data = prepare(load_card(arguments.dataset), Path(cache), Progress(shown=False))
    histories = leave_one_out(data.sequences).train
    spans, size = prefixes(histories, arguments.rows), arguments.batch_size
    print(
        f"{arguments.dataset}: {len(data.item_texts)} items, {len(spans)} examples of mean length "
        f"{spans.lengths.mean():.1f}, batches of {size}, best of {arguments.rounds}, one thread"
    )
    missed = False
    for name in arguments.methods.split(","):
        values = {"masking": "recbole"} if name == "bert4rec" else {}
        method = made(name, data, histories, **values)
        peer = their_loss(method)
        few = prefixes(histories, min(size, 512))
        speeds = {"ours": 0.0, "theirs": 0.0}
        for number in range(arguments.rounds + 1):  # the first warms up, on few examples
            some = spans if number else few
            runs = {
                "ours": (method._model.calculate_loss, our_batches(method, some, size)),
                "theirs": (peer, their_batches(method, some, size)),
            }
            for who, (loss, batches) in runs.items():
                speed = examples_per_second(method._model, loss, batches)
                speeds[who] = max(speeds[who], speed if number else 0.0)
        ratio = speeds["ours"] / speeds["theirs"]
        # wider weights than a network starts with, whose loss is that of guessing whatever it reads
        wide = made(name, data, histories, initializer_range=0.2, **values)
        apart = difference(wide, spans, 256)
        missed |= ratio < WANTED[name] or apart > ALLOWED_DIFFERENCE
        print(
            f"{name:9s} hidden {method.settings.hidden_size:3d}: {speeds['ours']:7.0f} examples "
            f"per CPU second, fixed width {speeds['theirs']:6.0f}, ratio {ratio:5.2f} (wanted "
            f"{WANTED[name]:.0f}); losses differ by {apart:.1e}",
            flush=True,
        )
    return int(missed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        sys.exit(f"error: {error}")
