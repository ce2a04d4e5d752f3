"""The report as a file: what is in it, what is escaped, what must never be in it."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser

import pytest

from harness.errors import DataError
from harness.paper import PlainTable
from harness.report import index_page, report_page, without_plots
from harness.split_facts import SplitFacts
from tests.unit.report import made


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    records = made.records(tmp_path_factory.mktemp("report"))
    made.with_generated(records)
    return records


def _page(found, *, facts=True, **more):
    split = facts if isinstance(facts, SplitFacts) else made.facts() if facts else None
    return report_page(made.table(found), {"tiny": found}, {"tiny": split}, **more)


class Reader(HTMLParser):
    """Collects tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self._hidden = 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag):
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data):
        if not self._hidden:
            self.text.append(data)


def test_nothing_from_data_becomes_markup(found):
    page = _page(found, texts={"tiny": made.TEXTS}, local=True)
    reader = Reader(page)
    assert [tag for tag, _ in reader.tags].count("script") == 2  # the board's JSON, the code
    assert not [tag for tag, _ in reader.tags if tag in ("img", "iframe", "object", "link")]
    assert not [name for _, found in reader.tags for name in found if name.startswith("on")]
    assert made.SCRIPT in "".join(reader.text)  # shown, as text
    assert html.escape(made.SCRIPT, quote=False) in page or "&lt;script&gt;" in page


def test_the_board_within_the_page_is_whole_and_cannot_be_ended_by_a_text(found):
    page = _page(found)
    (text,) = re.findall(r'<script type="application/json" id="board">(.*?)</script>', page, re.S)
    board = json.loads(text)
    assert [row["label"] for row in board["sections"][0]["rows"]] == [
        row.label for row in made.table(found).sections[0].rows
    ]


def test_nothing_is_loaded_from_elsewhere(found):
    reader = Reader(_page(found))
    for tag, attributes in reader.tags:
        assert "src" not in attributes, tag
        if attributes.get("href"):
            assert not attributes["href"].startswith(("http:", "https:", "//")), tag
    policy = next(a for t, a in reader.tags if a.get("http-equiv"))["content"]
    assert policy.startswith("default-src 'none'")
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='", policy)
    assert "url(" not in _page(found).replace("url(#", "")


def test_two_renders_are_equal_to_the_byte(found):
    assert _page(found) == _page(found)


@pytest.mark.parametrize("kept", [True, False])
def test_published_pages_hold_the_texts_that_are_kept_with_the_split_alone(found, kept):
    page = _page(found, facts=made.facts(texts=kept), texts={"tiny": made.TEXTS})
    assert ("number 11" in page) == kept
    assert "seldom" not in page  # a generated text never travels


def test_a_local_page_shows_texts_and_what_was_generated(found):
    page = _page(found, texts={"tiny": made.TEXTS}, local=True)
    assert "number 11" in page
    assert page.count("seldom") == 2 * 2  # two users, two seeds
    # equal texts are shown once, with their best log-probability; likeliest first
    generated = page.partition("Generated for user 3")[2].partition("</table>")[0]
    assert re.findall(r"<td>(-\d\.\d{3})</td>", generated) == ["-1.000", "-3.000"]
    without = _page(found, local=True)
    assert "number 11" not in without
    assert "seldom" not in without


def test_links_to_records_are_for_published_pages(found):
    folder = found[0][0].name
    assert f'href="records/tiny/{folder}/record.json"' in _page(found)
    assert "records/tiny" not in _page(found, local=True)


def test_failed_rows_are_shown_as_failed(found):
    page = _page(found)
    assert '<td data-key="">failed</td>' in page
    assert "failed: failed (seed 0): no luck" in page


def test_without_the_data_the_page_says_so(found):
    page = _page(found, facts=False)
    assert page.count("The data were not at hand when the page was made") == 2
    assert "third users" not in page


def test_slices_with_users_are_shown_with_size_and_interval(found):
    page = _page(found)
    line = page.partition("<td>third users</td>")[2].partition("</tr>")[0]
    assert line.startswith("<td>14</td><td>35.0 %</td>")
    assert re.search(r"<small>-?0\.\d{4} to 0\.\d{4}</small>", line)
    assert "<td>nobody</td>" not in page


def test_every_cell_has_a_page_with_its_record_and_its_users(found):
    page = _page(found)
    ids = re.findall(r'<details id="(d0-c\d+)">', page)
    assert len(ids) == len(set(ids)) == 8
    first = page.partition(f'<details id="{ids[0]}">')[2].partition("The record")[2]
    record = json.loads(html.unescape(first.partition("<pre>")[2].partition("</pre>")[0]))
    assert record["dataset"] == {"name": "tiny", "split_hash": made.HASH}
    assert 'href="#d0-u3"' in page
    assert 'id="d0-u3"' in page


def test_every_anchor_leads_somewhere(found):
    page = _page(found, texts={"tiny": made.TEXTS}, local=True)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert targets <= set(ids)
    assert targets


def test_the_papers_tables_stand_beside_the_board(found):
    paper = PlainTable("Table 2: x", ("method",), ((made.SCRIPT,),), ("a note",))
    page = _page(found, paper={"tiny": [paper]})
    assert "Beside the paper" in page
    assert "a note" in page
    assert made.SCRIPT not in page
    assert "Beside the paper" not in _page(found)


def test_edited_ranks_are_refused(tmp_path):
    records = made.records(tmp_path)
    board = made.table(records)
    folder, record = records[0]
    (folder / record.ranks_file).write_bytes(b"")
    with pytest.raises(DataError, match="damaged ranks"):
        report_page(board, {"tiny": records}, {"tiny": None})


def test_plots_can_be_left_out_of_a_comparison(found):
    page = _page(found)
    emptied = without_plots(page)
    assert page.count("<svg") == emptied.count("<svg") >= 6
    assert "<path" in page
    assert "<path" not in emptied
    assert len(emptied) < len(page)


def test_the_index_leads_to_every_form_of_every_board(found):
    page = index_page([made.table(found)])
    for ending in ("html", "md", "json", "csv", "tex"):
        assert f'href="tiny.{ending}"' in page
    assert made.SCRIPT not in page
    assert index_page([]) == index_page([])
