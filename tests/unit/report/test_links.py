"""Links of published pages: each leads to a file, since a host may answer for no folder."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from harness.report import report_page
from tests.unit.report import made

PUBLISHED = Path(__file__).resolve().parents[3] / "leaderboards"
FORMS = {"index.html", *(f"tiny.{ending}" for ending in ("md", "json", "csv", "tex"))}


def _addresses(page: str) -> list[str]:
    return [unquote(one) for one in re.findall(r'href="([^"#]+)"', page)]


def test_every_cell_leads_to_its_files(tmp_path):
    found = made.records(tmp_path / "records" / "tiny")
    where, record = found[0]
    (where / "fit.jsonl").unlink()
    unlogged = dataclasses.replace(record, fit_log_sha256=None)
    (where / "record.json").write_text(json.dumps(dataclasses.asdict(unlogged)))
    found[0] = (where, unlogged)
    page = report_page(made.table(found), {"tiny": found}, {"tiny": None})
    addresses = set(_addresses(page)) - FORMS
    ran = [folder for folder, one in found if one.status == "ok"]
    files = {path for folder in ran for path in folder.iterdir()}
    assert {tmp_path / address for address in addresses} == files
    assert len(files) == 3 * len(ran) - 1  # record, ranks and, but for one, the fit log


@pytest.mark.parametrize("page", sorted(PUBLISHED.glob("*.html")), ids=lambda page: page.name)
def test_links_of_the_published_pages_lead_to_files(page):
    addresses = _addresses(page.read_text(encoding="utf-8"))
    assert addresses
    assert [one for one in addresses if not (PUBLISHED / one).is_file()] == []
