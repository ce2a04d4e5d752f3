"""How well SASRec ranks when trained here and when RecBole's class is trained its own way.

Run from the checkout (some five CPU minutes for ours, half an hour for RecBole's way)::

    python -m benchmarks.sasrec_quality [--dataset scientific] [--only here|recbole]

RecBole's way is written out in this file without our batching, loop and scoring: every prefix
padded to 50, shuffled batches, its ``calculate_loss``, its ``full_sort_predict``, its
``early_stopping``. Both stop by NDCG@10 on the validation items and are then tested once.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.errors import HarnessError
from harness.histories import FloatArray, Histories, IntArray
from harness.method import Input, Method, RunContext, TrainingData
from harness.metrics import summary
from harness.progress import Progress
from harness.ranking import TargetRanks, rank_targets
from harness.seeding import seed_everything
from harness.splits import Split, leave_one_out
from methods.sasrec import SASRec, Settings, build_model

USERS_AT_ONCE = 1024
WANTED_RATIO = 0.95


def ranks(method: Method, histories: Histories, targets: IntArray, n_items: int) -> TargetRanks:
    """Rank every user's target among all items."""
    parts = []
    for first in range(0, len(histories), USERS_AT_ONCE):
        rows = np.arange(first, min(first + USERS_AT_ONCE, len(histories)))
        scores = method.score(histories.select(rows), np.arange(n_items))
        parts.append(rank_targets(scores, targets[rows]))
    return TargetRanks(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("optimistic", "pessimistic", "top")
        )
    )


def ndcg10(found: TargetRanks) -> float:
    """Return the mean pessimistic NDCG@10."""
    return summary(found.optimistic, found.pessimistic)["NDCG@10"]["pessimistic"]


class TrainedByRecBoleWay(Method):
    """RecBole's class in a loop as plain as RecBole's trainer, at fixed width."""

    card = SASRec.card
    Settings = Settings

    def fit(self, data: TrainingData, context: RunContext) -> None:
        """Train with shuffled batches until RecBole's early stopping says so."""
        import torch
        from recbole.utils import early_stopping

        settings = self.settings
        self.model = build_model(settings, data.n_items, context.device, context.seed)
        seed_everything(context.seed)
        examples = [
            (events[:place], events[place])
            for events in data.histories
            for place in range(1, len(events))
        ]
        items, lengths = self._padded([context_ for context_, _ in examples])
        targets = torch.tensor([int(target) + 1 for _, target in examples])
        optimizer = torch.optim.Adam(self.model.parameters(), lr=settings.learning_rate)
        best, failures, stop = -np.inf, 0, False
        best_state = copy.deepcopy(self.model.state_dict())
        self.best_epoch = self.epochs = 0
        while not stop and self.epochs < settings.max_epochs:
            self.epochs += 1
            self.model.train()
            for rows in torch.randperm(len(examples)).split(settings.batch_size):
                optimizer.zero_grad()
                batch = {"item_id_list": items[rows], "item_length": lengths[rows]}
                self.model.calculate_loss({**batch, "item_id": targets[rows]}).backward()
                optimizer.step()
            value = context.validate(self)
            context.log(epoch=self.epochs, validation_ndcg10=value)
            best, failures, stop, update = early_stopping(
                value, best, failures, max_step=settings.patience
            )
            if update:
                self.best_epoch, best_state = self.epochs, copy.deepcopy(self.model.state_dict())
        self.model.load_state_dict(best_state)

    def _padded(self, lists: list[Any]) -> tuple[Any, Any]:
        import torch

        width = self.settings.max_history
        items = torch.zeros(len(lists), width, dtype=torch.long)
        for row, events in enumerate(lists):
            kept = torch.tensor(np.array(events[-width:])) + 1
            items[row, : len(kept)] = kept
        return items, torch.tensor([min(len(events), width) for events in lists])

    def score(self, histories: Histories, candidates: IntArray) -> FloatArray:
        """Score by RecBole's ``full_sort_predict``, padding's column left out."""
        import torch

        items, lengths = self._padded(list(histories))
        self.model.eval()
        with torch.no_grad():
            batch = {"item_id_list": items, "item_length": lengths}
            return self.model.full_sort_predict(batch)[:, 1:].numpy()[:, candidates]

    def describe(self) -> Mapping[str, Any]:
        """Return the best epoch and how many were run."""
        return {"best_epoch": self.best_epoch, "epochs": self.epochs}


def run(name: str, method: Method, split: Split, data: TrainingData, seed: int) -> float:
    """Fit, test, print one row; return test NDCG@10."""

    def validate(trained: Method, users: int | None) -> float:
        return ndcg10(ranks(trained, split.train, split.validation_targets, data.n_items))

    with tempfile.TemporaryDirectory() as work_dir:
        context = RunContext(
            seed=seed,
            device="cpu",
            work_dir=Path(work_dir),
            progress=Progress(shown=False),
            validate_fn=validate,
            log_fn=lambda values: print(
                f"  {name} epoch {values['epoch']}: validation NDCG@10 "
                f"{values['validation_ndcg10']:.4f}",
                flush=True,
            ),
        )
        started = time.process_time()
        method.fit(data, context)
        seconds = time.process_time() - started
    found = ranks(method, split.test_histories, split.test_targets, data.n_items)
    metrics = summary(found.optimistic, found.pessimistic)
    values = "  ".join(
        f"{metric} {bounds['pessimistic']:.4f}" for metric, bounds in metrics.items()
    )
    described = method.describe()
    print(
        f"{name}: test {values}  best epoch {described['best_epoch']} of {described['epochs']}, "
        f"{seconds:.0f} CPU seconds",
        flush=True,
    )
    return ndcg10(found)


def main() -> int:
    """Train one or both, print rows and the ratio of NDCG@10; 1 if it is below the target."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="scientific")
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--max-epochs", type=int, default=Settings().max_epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("here", "recbole"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as cache:
        prepared = prepare(load_card(arguments.dataset), Path(cache), Progress(shown=False))
    split = leave_one_out(prepared.sequences)
    data = TrainingData(
        dataset=arguments.dataset,
        n_items=len(prepared.item_texts),
        histories=split.train,
        verb="bought",
        inputs=frozenset({Input.ITEM_IDS}),
    )
    settings = Settings(batch_size=arguments.batch_size, max_epochs=arguments.max_epochs)
    contenders: dict[str, Method] = {
        "here": SASRec(settings),
        "recbole": TrainedByRecBoleWay(settings),
    }
    reached = {
        name: run(name, method, split, data, arguments.seed)
        for name, method in contenders.items()
        if arguments.only in (None, name)
    }
    if len(reached) == 2:
        ratio = reached["here"] / reached["recbole"]
        print(f"NDCG@10 here / RecBole's way: {ratio:.3f} (wanted {WANTED_RATIO})")
        return 0 if ratio >= WANTED_RATIO else 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        sys.exit(f"error: {error}")
