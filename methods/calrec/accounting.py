"""What generation and training cost, and what the generated texts were like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from methods.calrec.matching import HierarchicalMatcher, MatchCounts
from methods.calrec.writing import Written

PEAK_FLOPS = {
    "H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "A10": 125e12,
    "V100": 125e12, "T4": 65e12,
}  # fmt: skip
"""Dense bfloat16 (V100, T4: float16) operations per second, from the makers' data sheets."""


@dataclass
class Accounts:
    """Counts over the users generated for.

    Attributes:
        users: how many.
        tokens: drawn.
        texts: generated.
        distinct: distinct texts of each user, added up.
        off_catalogue: texts that are no item's.
        cut_off: texts ended by the length limit.
        reused_users: whose texts an earlier run had generated.
        seconds: of generation.
        matches: hierarchical matching, whatever scores the items.
        covered: items' texts that were generated for anybody.
    """

    users: int = 0
    tokens: int = 0
    texts: int = 0
    distinct: int = 0
    off_catalogue: int = 0
    cut_off: int = 0
    reused_users: int = 0
    matches: MatchCounts = field(default_factory=MatchCounts)
    covered: set[str] = field(default_factory=set)

    def add(
        self, written: Sequence[Written], catalogue: set[str], matcher: HierarchicalMatcher,
        reused: bool,
    ) -> None:  # fmt: skip
        """Count some users."""
        for found in written:
            texts = [sample.text for sample in found.texts]
            known = [text for text in texts if text in catalogue]
            self.users += 1
            self.reused_users += reused
            self.tokens += found.n_tokens
            self.texts += len(texts)
            self.distinct += len(set(texts))
            self.off_catalogue += len(texts) - len(known)
            self.cut_off += found.cut_off
            self.covered.update(known)
            matcher.count(texts, self.matches)

    def report(
        self, n_texts: int, n_parameters: int, seconds: float, device: str, price: float | None
    ) -> dict[str, Any]:
        """Return what the record keeps.

        Args:
            n_texts: distinct texts of the catalogue.
            n_parameters: of the model.
            seconds: spent on generating for the users whose texts were not there already.
            device: "cpu" or "cuda".
            price: of an hour, or None.
        """
        users, texts = max(1, self.users), max(1, self.texts)
        found: dict[str, Any] = {
            "users_generated_for": self.users,
            "generated_tokens": self.tokens,
            "distinct_texts_per_user": self.distinct / users,
            "off_catalogue_share": self.off_catalogue / texts,
            "cut_off_share": self.cut_off / texts,
            "catalogue_coverage": len(self.covered) / max(1, n_texts),
            **self.matches.shares(),
        }
        if self.reused_users:
            found["users_with_texts_of_an_earlier_run"] = self.reused_users
        fresh = self.users - self.reused_users
        if fresh and seconds:
            found["generation_seconds_per_user"] = round(seconds / fresh, 4)
            per_second = self.tokens * fresh / self.users / seconds
            found["generation_tokens_per_second"] = round(per_second, 1)
            found |= utilisation("generation", 2 * n_parameters * per_second, device)
            if price is not None:
                found["generation_cost_per_user"] = round(price * seconds / fresh / 3600, 9)
        return found


def utilisation(what: str, flops: float, device: str) -> dict[str, float]:
    """Return the share of the device's peak that a rate of model operations is, if it is known.

    Model operations are 6 per weight and token in training, 2 in generation: what the model needs,
    not what was computed.
    """
    peak = peak_flops(device)
    return {} if peak is None else {f"{what}_flops_utilisation": round(flops / peak, 4)}


def peak_flops(device: str) -> float | None:
    """Return the peak of the first GPU; None for a CPU or a GPU that is not listed."""
    if device != "cuda":
        return None
    import torch

    name = torch.cuda.get_device_name(0)
    words = name.replace("-", " ").split()
    return next((peak for key, peak in PEAK_FLOPS.items() if key in words), None)
