"""Recformer's tokens per second on real histories: by length, and padded to 1,024 as a plain loop.

    python -m benchmarks.recformer_tokens [--histories 96] [--threads 1]

The network has MiniLM's size (6 layers, width 384) with random weights, which cost the same. All
contenders read the same histories in the same process, forward and backward, dropout off, and
must give the same vectors; tokens are the histories' own, without padding.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

WANTED_RATIO = 2.0
ALLOWED_DIFFERENCE = 1e-5


def main() -> None:
    """Print tokens per second of each contender, and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    sequences, vocabulary, settings = _histories(options.histories)
    n_tokens = int(sequences.lengths.sum())
    print(f"{len(sequences)} histories of scientific, {n_tokens} tokens, float32, ", end="")
    print(f"{options.threads} thread(s); forward and backward")
    network = _network(vocabulary.size)
    contenders = {
        "padded to 1,024, transformers' attention": ("sliding", 1024),
        "padded to 1,024, ours": ("quick", 1024),
        "by length, transformers' attention": ("sliding", None),
        "by length, ours": ("quick", None),
    }
    rates, vectors = {}, {}
    for name, (attention, width) in contenders.items():
        network.attention = attention
        rates[name], vectors[name] = _pass(network, sequences, vocabulary, settings, width)
    first = next(iter(contenders))
    worst = 0.0
    for name, rate in rates.items():
        far = float((vectors[name] - vectors[first]).abs().max())
        worst = max(worst, far)
        print(
            f"{rate:8.0f} tokens/s  {rate / rates[first]:5.2f} x  {name} (largest difference of ",
            end="",
        )
        print(f"a vector's number from the first: {far:.1e})")

    if rates["by length, ours"] < WANTED_RATIO * rates[first] or worst > ALLOWED_DIFFERENCE:
        sys.exit(1)


def _histories(n: int) -> tuple[Any, Any, Any]:
    """Return tokens of some training histories, each cut at 1,024, with a learnt tokeniser."""
    from harness.data.cards import load_card
    from harness.data.prepare import prepare
    from harness.progress import Progress
    from harness.splits import leave_one_out
    from methods.recformer.settings import Settings
    from methods.recformer.tokens import ItemTokens
    from methods.recformer.weights import load_start

    settings = Settings(random_vocabulary=8000, random_width=8, random_layers=1)
    with TemporaryDirectory() as cache:
        data = prepare(load_card("scientific"), Path(cache), Progress(shown=False))
    start = load_start(settings, data.item_attributes, "cpu", 0)
    histories = leave_one_out(data.sequences).train
    rows = np.random.default_rng(0).choice(len(histories), n, replace=False)
    items = ItemTokens(data.item_attributes, start.vocabulary, settings)
    return items.histories(histories.select(np.sort(rows))), start.vocabulary, settings


def _network(vocabulary: int) -> Any:
    import torch
    from transformers import LongformerConfig

    from methods.recformer.model import Recformer

    torch.manual_seed(0)
    config = LongformerConfig(
        vocab_size=vocabulary, hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
        intermediate_size=1536, max_position_embeddings=1100, type_vocab_size=4, pad_token_id=1,
        attention_window=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return Recformer(config, max_items=50).train()


def _pass(
    network: Any, sequences: Any, vocabulary: Any, settings: Any, width: int | None
) -> tuple[float, Any]:
    """Return tokens per second and the vectors, float32 [n, 384]."""
    import torch

    from methods.recformer.encoding import Encoder

    encoder = Encoder(network, vocabulary, settings.tokens_at_once, "cpu")
    size = max(1, settings.tokens_at_once // width) if width else 0
    parts = (
        [rows for rows, _ in encoder.batches(sequences)]
        if width is None
        else [np.arange(n, min(n + size, len(sequences))) for n in range(0, len(sequences), size)]
    )
    found = torch.empty(len(sequences), network.width)
    _step(network, encoder.padded(sequences, parts[0][:1], width))  # warm up
    started = time.perf_counter()
    for rows in parts:
        found[torch.from_numpy(rows)] = _step(network, encoder.padded(sequences, rows, width))
    return int(sequences.lengths.sum()) / (time.perf_counter() - started), found


def _step(network: Any, batch: Any) -> Any:
    from methods.recformer.model import normalised

    vectors = normalised(network(batch))
    (vectors**3).sum().backward()
    network.zero_grad(set_to_none=True)
    return vectors.detach()


if __name__ == "__main__":
    main()
