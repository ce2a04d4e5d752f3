"""The paper's prompt strings (section 3.2), with the data set's verb in place of "bought".

Layout of a history: user prefix, space, first-item prefix, space, item; for every later item two
line breaks, next-item prefix, space, item; at the end two line breaks and the next-item prefix,
which asks for the prediction. The pieces are kept apart here, because token sequences are made
piece by piece: an item then has the same tokens wherever it stands.
"""

from __future__ import annotations

from dataclasses import dataclass

USER_PREFIX = "This is the summary of a user's purchase history."


@dataclass(frozen=True)
class Template:
    """The fixed pieces of a prompt.

    Attributes:
        verb: past participle of the data set's card: "bought", "watched".
    """

    verb: str

    @property
    def opening(self) -> str:
        """What stands before the first item, and alone where a history is empty."""
        return f"{USER_PREFIX} The first item {self.verb} is as follows."

    @property
    def next_prefix(self) -> str:
        """What stands before every later item and, last of all, asks for the prediction."""
        return f"\n\nThe next item {self.verb} is as follows."

    def item(self, text: str) -> str:
        """Return an item's segment: the space after its prefix belongs to the item's tokens."""
        return f" {text}"
