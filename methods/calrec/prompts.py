"""The prompt strings, with the data set's verb in place of "bought".

The paper's layout of a history (section 3.2): user prefix, space, first-item prefix, space, item;
for every later item two line breaks, next-item prefix, space, item; at the end two line breaks and
the next-item prefix, which asks for the prediction. GPT4Rec's (table 6): items in one row, each
with a full stop behind it, and one question at the end.

The pieces are kept apart here, because token sequences are made piece by piece: an item then has
the same tokens wherever it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from methods.calrec.settings import CALREC_TEMPLATE, GPT4REC_TEMPLATE

USER_PREFIX = "This is the summary of a user's purchase history."


@dataclass(frozen=True)
class Template:
    """The fixed pieces of a prompt.

    Attributes:
        verb: past participle of the data set's card: "bought", "watched".
        layout: "calrec" or "gpt4rec".
        stop: what GPT4Rec's layout puts behind an item; nothing where texts end in a full stop.
    """

    verb: str
    layout: str = CALREC_TEMPLATE
    stop: str = "."

    @classmethod
    def of(cls, verb: str, layout: str, texts: Sequence[str]) -> Template:
        """Return that of a catalogue."""
        ended = bool(texts) and all(text.endswith(".") for text in texts)
        return cls(verb, layout, "" if ended else ".")

    @property
    def opening(self) -> str:
        """What stands before the first item, and alone where a history is empty."""
        if self.layout == GPT4REC_TEMPLATE:
            return f"Previously, the customer has {self.verb}:"
        return f"{USER_PREFIX} The first item {self.verb} is as follows."

    @property
    def between(self) -> str:
        """What stands between two items."""
        return self.stop if self.layout == GPT4REC_TEMPLATE else self.closing

    @property
    def closing(self) -> str:
        """What stands behind the last item and asks for the prediction."""
        if self.layout == GPT4REC_TEMPLATE:
            return f"{self.stop} In the future, the customer wants to {base_form(self.verb)}"
        return f"\n\nThe next item {self.verb} is as follows."

    def item(self, text: str) -> str:
        """Return an item's segment: the space after its prefix belongs to the item's tokens."""
        return f" {text}"


def base_form(participle: str) -> str:
    """Return the verb of a past participle: "buy" of "bought", "watch" of "watched"."""
    known = {"bought": "buy", "read": "read", "seen": "see", "heard": "hear", "eaten": "eat"}
    if participle in known:
        return known[participle]
    return participle.removesuffix("ed") if participle.endswith("ed") else participle
