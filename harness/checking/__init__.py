"""Recomputes every number of a published board from the stored ranks.

Written apart from the code that makes boards, on purpose: it shares no formula, no reader and no
formatting with it (nothing of ``harness`` outside this package is imported here), so that a
mistake there shows here. Whatever is damaged becomes a line that names the file; nothing raises.
"""

from harness.checking.board import boards_in, check_board
from harness.checking.records import check_record

__all__ = ["boards_in", "check_board", "check_record"]
