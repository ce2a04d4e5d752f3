"""Make the values that our networks are held against, by RecBole's own pipeline.

Its Config reads the settings, its data sets and loaders make the batches, its transforms the masks,
its trainers the steps. Run in an environment of its own (see README.md)::

    python generate.py OUT_FOLDER [--compare FOLDER]

Everything is small and seeded. Each model gives one ``.npz``: initial weights (``state/KEY``), the
batches its loader yielded (``batch/N/FIELD``), their losses at the initial weights, the losses of
steps of its trainer on them, and the scores of all test histories before and after.
"""

from __future__ import annotations

import argparse
import copy
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

N_ITEMS, N_USERS, MAX_HISTORY, N_VALUES = 30, 24, 12, 7
BATCHES = 3
SHAPE = {
    "n_layers": 2, "n_heads": 2, "hidden_size": 8, "inner_size": 16,
    "hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0, "hidden_act": "gelu",
    "layer_norm_eps": 1e-12, "initializer_range": 0.3,
}  # fmt: skip
FIELDS = ("item_id_list", "item_length", "item_id")
MASKS = ("Mask_item_id_list", "Pos_item_id", "MASK_INDEX")
PRETRAINING = (
    "features", "masked_item_sequence", "pos_items", "neg_items", "masked_segment_sequence",
    "pos_segment", "neg_segment",
)  # fmt: skip
MODELS = ("SASRec", "BERT4Rec", "FDSA", "S3Rec-pretrain", "S3Rec-finetune")


def sequences() -> list[list[int]]:
    """Return every user's items; the last is the test target, the one before it validation's."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(4, 17, size=N_USERS)
    return [generator.integers(0, N_ITEMS, size=n).tolist() for n in lengths]


def values_of_items() -> list[list[int]]:
    """Return the attribute values of every item, one to three; some have none."""
    generator = np.random.default_rng(1)
    counts = generator.integers(0, 4, size=N_ITEMS)
    return [generator.choice(N_VALUES, size=n, replace=False).tolist() for n in counts]


def write_atomic_files(folder: Path) -> None:
    """Write the split as UniSRec's repository has it: prefixes written out, one line an example."""
    head = "user_id:token\titem_id_list:token_seq\titem_id:token\n"
    parts = {"train": [head], "valid": [head], "test": [head]}
    for user, events in enumerate(sequences()):

        def line(end: int, user: int = user, events: list[int] = events) -> str:
            before = " ".join(f"i{item}" for item in events[:end][-MAX_HISTORY:])
            return f"u{user}\t{before}\ti{events[end]}\n"

        parts["train"] += [line(end) for end in range(1, len(events) - 2)]
        parts["valid"].append(line(len(events) - 2))
        parts["test"].append(line(len(events) - 1))
    for part, lines in parts.items():
        (folder / f"tiny.{part}.inter").write_text("".join(lines))
    items = ["item_id:token\tclass:token_seq\n"]
    for item, values in enumerate(values_of_items()):
        items.append(f"i{item}\t{' '.join(f'v{value}' for value in values)}\n")
    (folder / "tiny.item").write_text("".join(items))


def pipeline(model: str, data: Path, **others: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Return RecBole's config, data set, loaders of training and test, and the untrained model."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, init_seed

    sys.argv = sys.argv[:1]  # its Config reads the command line
    settings = {
        "data_path": str(data), "load_col": {
            "inter": ["user_id", "item_id_list", "item_id"], "item": ["item_id", "class"],
        },
        "USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "LIST_SUFFIX": "_list",
        "ITEM_LIST_LENGTH_FIELD": "item_length", "MAX_ITEM_LIST_LENGTH": MAX_HISTORY,
        "alias_of_item_id": ["item_id_list"], "benchmark_filename": ["train", "valid", "test"],
        "train_neg_sample_args": None, "loss_type": "CE", "train_batch_size": 24,
        "eval_batch_size": N_USERS, "learning_rate": 1e-3, "learner": "adam", "seed": 5,
        "reproducibility": True, "use_gpu": False, "show_progress": False, "state": "ERROR",
        "checkpoint_dir": str(data / "saved"), "metrics": ["NDCG"], "topk": [10],
        "valid_metric": "NDCG@10", **SHAPE, **others,
    }  # fmt: skip
    config = Config(model=model, dataset="tiny", config_dict=settings)
    init_seed(config["seed"], True)
    dataset = create_dataset(config)
    train, _, test = data_preparation(config, dataset)
    init_seed(config["seed"], True)
    return config, dataset, train, test, get_model(config["model"])(config, train.dataset)


class Few(list):  # type: ignore[type-arg]
    """Batches that stand for a loader in RecBole's trainer."""

    shuffle = False


def first_batches(train: Any) -> list[Any]:
    """Return batches of the loader; of BERT4Rec's at least one of either kind of masks."""
    random.seed(3)
    found: list[Any] = []
    while len(found) < BATCHES:
        for batch in train:
            if "MASK_INDEX" in batch.columns and len(found) == BATCHES - 1:
                kinds = {_masks_last(one) for one in found}
                if kinds == {_masks_last(batch)}:
                    continue
            found.append(batch)
            if len(found) == BATCHES:
                break
    return found


def _masks_last(batch: Any) -> bool:
    """Whether a batch of BERT4Rec's masks the last item of every row and no other."""
    hidden = (batch["Mask_item_id_list"] != batch["item_id_list"]).sum(1)
    last = batch["MASK_INDEX"][:, -1] == batch["item_length"] - 1
    return bool((hidden == 1).all() and last.all())


def scores(model: Any, test: Any) -> tuple[np.ndarray, list[Any]]:
    """Return float32 [n_users, n_items + 1] as RecBole's evaluation gets them, and its batches."""
    model.eval()
    made, batches = [], []
    with torch.no_grad():
        for batch, *_ in test:
            made.append(model.full_sort_predict(copy.deepcopy(batch)).numpy())
            batches.append(batch)
    return np.concatenate(made), batches


def values(model_name: str, data: Path, state: Path) -> dict[str, np.ndarray]:
    """Return all that is stored of one model."""
    from recbole.utils import get_trainer

    name, _, stage = model_name.partition("-")
    others: dict[str, Any] = {}
    if name == "S3Rec":
        others = {"train_stage": stage, "pre_model_path": str(state), "item_attribute": "class"}
    config, dataset, train, test, model = pipeline(name, data, **others)
    kept = {"internal_of_item": np.array(
        [dataset.token2id("item_id", f"i{item}") for item in range(N_ITEMS)]
    )}  # fmt: skip
    kept["internal_of_value"] = np.array(
        [dataset.token2id("class", f"v{value}") for value in range(N_VALUES)]
    )
    if name == "BERT4Rec":
        kept["ft_ratio"] = np.array(float(config["ft_ratio"]))
        kept["transform_ft_ratio"] = np.array(float(train.transform.ft_ratio))
    kept |= {f"state/{key}": tensor.numpy().copy() for key, tensor in model.state_dict().items()}
    batches = first_batches(train)
    for number, batch in enumerate(batches):
        wanted = FIELDS + (MASKS if name == "BERT4Rec" else ())
        kept |= {f"batch/{number}/{key}": batch[key].numpy() for key in wanted}
    if stage == "pretrain":
        _record_masks(model, batches, kept)
    else:
        kept["scores"], tests = scores(model, test)
        kept |= {f"test/{key}": torch.cat([one[key] for one in tests]).numpy() for key in FIELDS}
    model.train()
    with torch.no_grad():
        kept["losses"] = np.array([model.calculate_loss(batch).item() for batch in batches])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    kept["step_losses"] = np.array(
        [trainer._train_epoch(Few([batch]), 0, show_progress=False) for batch in batches]
    )
    kept["steps_taken"] = np.array(len(batches))
    if stage == "pretrain":
        torch.save({"state_dict": model.state_dict()}, state)
    else:
        kept["scores_after"] = scores(model, test)[0]
    return kept


def _record_masks(model: Any, batches: list[Any], kept: dict[str, np.ndarray]) -> None:
    """Draw the masks of each batch once, keep them, and give them whenever they are asked for."""
    random.seed(4)
    drawn = {}
    for number, batch in enumerate(batches):
        made = model.reconstruct_pretrain_data(batch["item_id_list"], batch["item_length"])
        drawn[batch["item_id_list"].numpy().tobytes()] = made
        kept |= {
            f"batch/{number}/{key}": part.numpy().astype(np.int16)
            for key, part in zip(PRETRAINING, made, strict=True)
        }
    model.reconstruct_pretrain_data = lambda items, lengths: drawn[items.numpy().tobytes()]


def largest_difference(made: dict[str, np.ndarray], stored: Path) -> float:
    """Return the largest difference from a stored file; infinite where names or shapes differ."""
    with np.load(stored, allow_pickle=False) as found:
        if set(found.files) != set(made):
            return float("inf")
        differences = [0.0]
        for key in found.files:
            one, other = np.asarray(made[key], float), np.asarray(found[key], float)
            if one.shape != other.shape:
                return float("inf")
            differences.append(float(np.abs(one - other).max(initial=0.0)))
        return max(differences)


def main() -> int:
    """Write one file a model; with ``--compare``, 1 if a value is not the stored one to 1e-6."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--compare", type=Path, help="folder of stored files")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    same = True
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        (data / "tiny").mkdir()
        write_atomic_files(data / "tiny")
        for name in MODELS:
            made = values(name, data, data / "pretrained.pth")
            np.savez_compressed(arguments.out / f"{name}.npz", **made)
            line = f"{name}: losses {made['losses'].round(6).tolist()}"
            if arguments.compare:
                apart = largest_difference(made, arguments.compare / f"{name}.npz")
                same &= apart <= 1e-6
                line += f", largest difference from the stored values {apart:.2e}"
            print(line, flush=True)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
