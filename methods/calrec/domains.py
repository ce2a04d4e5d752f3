"""Data sets as CALRec reads them: histories, texts, and what makes token sequences of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.files import canonical_json
from harness.histories import Histories
from harness.method import SourceDomain, TrainingData
from methods.calrec.attributes import first_attributes
from methods.calrec.backbone import Backbone
from methods.calrec.prompts import Template
from methods.calrec.sequences import SequenceMaker
from methods.calrec.settings import TITLE, Settings


@dataclass(frozen=True, eq=False)
class Domain:
    """One data set: the target, or a part of the mixture.

    Attributes:
        name: the data set's.
        histories: what may be trained on.
        texts: of every item, as `Settings.item_text` has it.
        template: the prompt strings.
        probability: its share of stage I's draws; 1 for the target.
        selection_targets: int32 [n_users], the events that follow the histories, where this
            domain chooses stage I's checkpoint; else None.
    """

    name: str
    histories: Histories
    texts: tuple[str, ...]
    template: Template
    probability: float = 1.0
    selection_targets: NDArray[np.int32] | None = None

    def maker(self, backbone: Backbone, settings: Settings) -> SequenceMaker:
        """Return what makes token sequences of this domain's histories.

        Raises:
            UsageError: the prompt strings leave no room for an item.
        """
        return SequenceMaker(
            self.template,
            self.texts,
            backbone.tokenise,
            opening_ids=backbone.opening_ids,
            eos_id=backbone.eos_id,
            max_input_tokens=settings.max_input_tokens,
            max_history_items=settings.max_history_items,
        )

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of all that a training reads of it, in hexadecimal."""
        found = hashlib.sha256(b"calrec domain, form 1")
        head = canonical_json([list(self.texts), self.template.verb, self.template.stop]).encode()
        parts = [head, self.histories.users, self.histories.items, self.histories.offsets]
        for part in parts:
            content = part if isinstance(part, bytes) else part.astype("<i8").tobytes()
            found.update(len(content).to_bytes(8, "little"))
            found.update(content)
        return found.hexdigest()


def target_domain(data: TrainingData, settings: Settings) -> Domain:
    """Return the data set that is evaluated."""
    texts = read_texts(data.item_texts, settings)
    return Domain(
        data.dataset, data.histories, texts, Template.of(data.verb, settings.template, texts)
    )


def source_domains(sources: Sequence[SourceDomain], settings: Settings) -> list[Domain]:
    """Return the parts of the mixture."""
    found = []
    for source in sources:
        texts = read_texts(source.item_texts, settings)
        template = Template.of(source.verb, settings.template, texts)
        found.append(
            Domain(
                source.name, source.histories, texts, template, source.probability,
                source.selection_targets,
            )
        )  # fmt: skip
    return found


def read_texts(texts: tuple[str, ...], settings: Settings) -> tuple[str, ...]:
    """Return what of each item's text is read, written and searched."""
    return first_attributes(texts) if settings.item_text == TITLE else texts
