"""No held-out item enters a training string: along the whole path, from the split to the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.cells import CellInput, execute
from harness.histories import Histories
from harness.method import RunContext, TrainingData
from harness.progress import Progress
from harness.splits import Split, leave_one_out
from methods.calrec import METHOD

pytest.importorskip("torch")

Make = Callable[..., Any]
USERS, EVENTS = 12, 5


class TrainingRecorder:
    """Keeps all that any backbone reads in training mode, as texts and as tokens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from methods.calrec import loading as module

        self.texts: list[str] = []
        self.rows: list[str] = []
        self.validated = 0
        self._tokenise: Callable[[str], list[int]] | None = None
        original = module.describe_backbone

        def watched(*arguments: Any) -> Any:
            backbone = original(*arguments)
            backbone.model.register_forward_pre_hook(self._hook(backbone), with_kwargs=True)
            self._tokenise = backbone.tokenise
            return backbone

        monkeypatch.setattr(module, "describe_backbone", watched)

    def _hook(self, backbone: Any) -> Callable[..., None]:
        def record(model: Any, arguments: Any, named: dict[str, Any]) -> None:
            assert not arguments
            if not model.training:
                self.validated += 1
                return
            self.texts += backbone.tokenizer.batch_decode(named["input_ids"])
            self.rows += [spelt(ids) for ids in named["input_ids"].tolist()]

        return record

    def saw(self, text: str) -> bool:
        """Tell whether the text, or its tokens, stood anywhere in a training input."""
        assert self._tokenise is not None
        tokens = spelt(self._tokenise(f" {text}"))
        return any(text in read for read in self.texts) or any(tokens in row for row in self.rows)


def spelt(ids: Sequence[int]) -> str:
    return f" {' '.join(map(str, ids))} "


def marker(item: int) -> str:
    """A text that no other item shares."""
    return f"Title: Zz{item:03d}yzx Quux. Brand: Unknown."


def markers_of(user: int, n_common: int) -> tuple[int, int]:
    """The user's own validation item and test item."""
    return n_common + 2 * user, n_common + 2 * user + 1


def whole_cell(method: Any, catalogue: tuple[str, ...]) -> tuple[CellInput, Histories]:
    n_common = len(catalogue)
    common = [[(user + step) % n_common for step in range(EVENTS)] for user in range(USERS)]
    sequences = Histories.from_lists(
        [[*items, *markers_of(user, n_common)] for user, items in enumerate(common)]
    )
    texts = (*catalogue, *(marker(item) for item in range(2 * USERS)))
    return CellInput(
        method=method,
        dataset="made up",
        item_texts=texts,
        verb="bought",
        split=leave_one_out(sequences),
        seed=0,
        device="cpu",
    ), sequences


class GivenTheTestHistories(METHOD):  # type: ignore[valid-type,misc]
    """Trains on the histories of the test, validation items included."""

    handed: Histories

    def fit(self, data: TrainingData, context: RunContext) -> None:
        super().fit(dataclasses.replace(data, histories=self.handed), context)


def leaky(split: Split, train: Histories) -> Split:
    return dataclasses.replace(split, train=train)


@pytest.mark.parametrize("fault", [None, "fit is handed test histories", "a split that leaks"])
def test_no_held_out_item_enters_a_training_string(
    make_settings: Make,
    catalogue: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fault: str | None,
) -> None:
    """Each user's validation and test item have texts of their own; the faults are planted."""
    recorder = TrainingRecorder(monkeypatch)
    settings = make_settings(tiny_pretraining_epochs=1, epochs=2, validation_users=USERS)
    method = METHOD(settings)
    cell, sequences = whole_cell(method, catalogue)
    expected = {"validation": False, "test": False}
    if fault == "fit is handed test histories":
        method = GivenTheTestHistories(settings)
        method.handed = cell.split.test_histories
        cell = dataclasses.replace(cell, method=method)
        expected["validation"] = True
    elif fault == "a split that leaks":
        cell = dataclasses.replace(cell, split=leaky(cell.split, sequences))
        expected = {"validation": True, "test": True}
    result = execute(cell, tmp_path, tmp_path / "fit.jsonl", Progress(shown=False))
    assert result.report["validation_users"] == [USERS]
    assert recorder.validated
    assert all(recorder.saw(text) for text in catalogue)
    for user in range(USERS):
        validation, test = (cell.item_texts[i] for i in markers_of(user, len(catalogue)))
        assert recorder.saw(validation) == expected["validation"], validation
        assert recorder.saw(test) == expected["test"], test
