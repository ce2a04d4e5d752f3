"""RecBole's model classes without the rest of RecBole.

A model class wants a configuration it can index and a data set it can ask for the number of
items. Both are given here as plain objects, so that neither RecBole's configuration (which parses
the command line and evaluates strings) nor its trainer, data sets and log folders are involved.

Items are shifted by one: RecBole keeps index 0 for padding.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from harness.errors import MethodError

ITEM_ID = "item_id"
ITEM_LIST = "item_id_list"
LIST_LENGTH = "item_length"

_FIELDS = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": ITEM_ID,
    "LIST_SUFFIX": "_list",
    "ITEM_LIST_LENGTH_FIELD": LIST_LENGTH,
    "NEG_PREFIX": "neg_",
}


class ModelConfig(dict[str, Any]):
    """A configuration as RecBole's models read it: a key that nobody set reads None."""

    def __missing__(self, key: str) -> None:
        return None


class Catalogue:
    """What RecBole's models ask of a data set: how many items there are, padding included."""

    def __init__(self, n_items: int) -> None:
        self.item_num = n_items + 1

    def num(self, field: str) -> int:
        """Return the number of values of ``field``; only the item field is known.

        Raises:
            KeyError: a model asks for another field.
        """
        if field != ITEM_ID:
            raise KeyError(f"a model asks for the field {field!r}; only {ITEM_ID!r} is known")
        return self.item_num


class ItemFeatures(dict[str, Any]):
    """By field a tensor of every item's tokens, padding item first, as RecBole's layers read it."""

    def to(self, device: str) -> ItemFeatures:
        """Return the tables on a device."""
        return ItemFeatures({name: table.to(device) for name, table in self.items()})


class FeatureCatalogue(Catalogue):
    """A catalogue with multi-valued attributes.

    Args:
        n_items: without padding.
        fields: by name int64 [n_items + 1, most tokens of an item], 0 where there is none.
        sizes: by name the number of tokens, the 0 included.
    """

    def __init__(self, n_items: int, fields: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
        import torch
        from recbole.utils import FeatureType

        super().__init__(n_items)
        self.sizes = dict(sizes)
        self.field2type = dict.fromkeys(fields, FeatureType.TOKEN_SEQ)
        self.config: dict[str, Any] = {"numerical_features": []}
        self._features = ItemFeatures(
            {name: torch.from_numpy(table) for name, table in fields.items()}
        )

    def num(self, field: str) -> int:
        """Return the number of values of the item field or of an attribute."""
        return self.sizes[field] if field in self.sizes else super().num(field)

    def get_item_feature(self) -> ItemFeatures:
        """Return every item's tokens by field."""
        return self._features


def model_class(module: str, name: str) -> Any:
    """Import one of RecBole's sequential models, such as ``("sasrec", "SASRec")``.

    Raises:
        MethodError: RecBole, or a package that it imports, is missing.
    """
    import torch

    # one of RecBole's modules, which all are imported together, switches anomaly detection on for
    # the whole process: a check of every gradient, an eighth of the time; our loop checks losses
    before = torch.is_anomaly_enabled()
    try:
        found = importlib.import_module(f"recbole.model.sequential_recommender.{module}")
    except ModuleNotFoundError as error:
        raise MethodError(
            f"RecBole's {name} cannot be imported, because the package {error.name!r} is missing: "
            "run `make setup`, or `pip install tensorboard` and "
            "`pip install --no-deps recbole==1.2.1`"
        ) from error
    finally:
        torch.autograd.set_detect_anomaly(before)
    return getattr(found, name)


def model_config(max_history: int, device: str, values: Mapping[str, Any]) -> ModelConfig:
    """Return a configuration for a model with softmax cross-entropy over the whole catalogue."""
    return ModelConfig(
        _FIELDS, MAX_ITEM_LIST_LENGTH=max_history, loss_type="CE", device=device, **values
    )


def interaction(items: Any, lengths: Any, targets: Any, device: str) -> dict[str, Any]:
    """Return a batch as RecBole's ``calculate_loss`` reads it.

    Args:
        items: int64 [n_rows, width], shifted items, right-padded with 0.
        lengths: int64 [n_rows], events per row, at least 1.
        targets: int64 [n_rows], or [n_rows, width] for a loss at all positions (0: no target).
        device: where the tensors are to lie.
    """
    import torch

    arrays = {ITEM_LIST: items, LIST_LENGTH: lengths, ITEM_ID: targets}
    return {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
