"""The figures and names in the sentences of a page: sizes, rules, split, tests, notes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.checking.printed import is_of_fewer_seeds

Facts = Mapping[str, Any]
CORRECTIONS = {"holm": "Holm's", "bonferroni": "Bonferroni's", "benjamini-hochberg": "Benjamini"}
TROUBLE = re.compile(r"- .*(: seeds [\d, ]+ are missing|: missing: .*|: (failed|skipped) .*)")


def sentence_faults(board: Facts, text: str, plain: Callable[[str], str]) -> Iterator[str]:
    """Yield what is wrong with a page's sentences; ``plain`` reads its escapes."""
    lines = [plain(line) for line in text.splitlines() if not line.startswith("|")]
    if not lines or lines[0] != f"# Leaderboard: {board['title']}":
        yield f"the heading is not that of the board {board['title']!r}"
    yield from _fact_faults(board, lines)
    yield from _test_faults(board, lines)
    rows = [row for section in board["sections"] for row in section["rows"]]
    notes = [line for line in lines if line.startswith("- `")]
    yield from _listed("notes of rows", notes, [_note(row) for row in rows if row["note"]])
    troubles = [line for line in lines if TROUBLE.fullmatch(line)]
    wanted = [_trouble(row) for row in rows if row["reason"] is not None]
    yield from _listed("missing rows and seeds", troubles, wanted)


def _note(row: Facts) -> str:
    label = row["label"].replace("`", "'")
    return f"- `{label}`: {row['note']}"


def _trouble(row: Facts) -> str:
    status = {"ok": "", "missing": "missing: "}.get(row["status"], f"{row['status']} ")
    return f"- {row['label']}: {status}{row['reason']}"


def _listed(what: str, found: list[str], wanted: list[str]) -> Iterator[str]:
    if len(found) != len(wanted):
        yield f"{what}: {len(found)} lines, the records give {len(wanted)}"
    for line, other in zip(found, wanted, strict=False):
        if line != other:
            yield f"{what}: {line!r}, the records give {other!r}"
            return


def _fact_faults(board: Facts, lines: list[str]) -> Iterator[str]:
    """Check the two sentences of each data set that has records, in order."""
    told = [section for section in board["sections"] if section["protocol"]]
    sizes = [line for line in lines if re.match(r"[\d,]+ users, ", line)]
    splits = [line for line in lines if line.startswith("Split hash")]
    if not len(sizes) == len(splits) == len(told):
        yield f"sizes and splits of {len(sizes)} and {len(splits)} data sets, not of {len(told)}"
        return
    for section, line, split in zip(told, sizes, splits, strict=True):
        data, rules = section["dataset"], section["protocol"]
        for part in _parts(data, rules):
            if part not in line:
                yield f"{data['name']}: the page does not say {part!r}, it says {line!r}"
        if not split.startswith(f"Split hash `{data['split_hash']}`."):
            yield f"{data['name']}: the split hash on the page is not that of its records"


def _parts(data: Facts, rules: Facts) -> list[str]:
    return [
        f"{data['n_users']:,} users, {data['n_items']:,} items, {data['n_events']:,} events.",
        f"Split {rules['split']}, dedup {rules['dedup']}, ",
        f"at least {rules['min_user_events']} events",
        f"{rules['candidates']} are candidates",
        f"history is {'masked' if rules['history_masked'] else 'not masked'};",
        rules["selection"],
    ]


def _test_faults(board: Facts, lines: list[str]) -> Iterator[str]:
    """Check what the page says of the family of tests."""
    family, whole = board["family"], "\n".join(lines)
    against = "the best value" if family["against"] == "best" else f"`{family['against']}`"
    tests = next((line for line in lines if line.startswith("- Tests: ")), "")
    for part in (against, f"({family['bound']} ranks)", CORRECTIONS[family["correction"]]):
        if part not in tests:
            yield f"the sentence about tests does not say {part!r}"
    if f"level {family['level']:g})" not in whole:
        yield f"the level of the letters is not {family['level']:g}"
    if board["across"] and f"means of {family['bound']} ranks" not in whole:
        yield "the sentence about tests over data sets has other ranks than the family"
    if _some_of_fewer_seeds(board) != ("'over seeds'" in whole):
        yield "the page explains 'over seeds' where no test is, or leaves it unexplained"
    for section in board["sections"]:
        if section["not_judged"] and section["not_judged"] not in whole:
            yield f"{section['dataset']['name']}: the page does not say {section['not_judged']!r}"


def _some_of_fewer_seeds(board: Facts) -> bool:
    return any(
        is_of_fewer_seeds(section, row, metric)
        for section in board["sections"]
        for row in section["rows"]
        for metric in board["metrics"]
    )
