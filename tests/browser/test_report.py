"""The report in a real browser: sorting, filtering, links, both schemes, a phone, print."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harness.paper import PlainTable
from harness.report import report_page
from tests.boards import made_record, stored
from tests.browser.installed import NAMES, browser_path
from tests.unit.report import made


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="no browser: playwright is absent")
    binary = browser_path()
    if binary is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with sync_api.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    records = made.records(folder)
    made.with_generated(records)
    heads = tuple(f"a head of the paper's, number {n}" for n in range(6))
    paper = PlainTable("Table 2: nine methods " * 9, heads, (heads, ("", *heads[1:])), ())
    page = report_page(
        made.table(records), {"tiny": records}, {"tiny": made.facts()},
        texts={"tiny": made.TEXTS}, local=True, paper={"tiny": [paper]},
    )  # fmt: skip
    (folder / "report.html").write_text(page, encoding="utf-8")
    return folder / "report.html"


@pytest.fixture(scope="module")
def other_path(tmp_path_factory):
    """Return a report of names that begin with digits, one of an external row, far apart."""
    folder = tmp_path_factory.mktemp("other")
    generator = np.random.default_rng(0)
    rows = []
    for place, label in enumerate(("10rec", "4rec-b", "4rec-a", "external")):
        ranks = generator.integers(1, 3 + 12 * place, 400).tolist()
        record, arrays = made_record(label, optimistic=ranks)
        inputs = [] if label == "external" else ["item ids"]
        record = dataclasses.replace(record, method={**record.method, "inputs": inputs})
        rows.append((record, arrays))
    records = stored(folder, rows)
    page = report_page(made.table(records), {"tiny": records}, {"tiny": None})
    (folder / "report.html").write_text(page, encoding="utf-8")
    return folder / "report.html"


@pytest.fixture
def open_page(browser, path):
    """Return a function that opens the report; whatever it complains of fails the test."""
    pages, complaints = [], []

    def open_(anchor="", file=path, **options):
        page = browser.new_page(**options)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on(
            "request",
            lambda request: complaints.append(request.url)
            if not request.url.startswith("file:") else None,
        )  # fmt: skip
        page.goto(f"{file.as_uri()}{anchor}")
        pages.append(page)
        return page

    yield open_
    for page in pages:
        page.close()
    assert complaints == []


def _labels(page):
    cells = page.locator("#d0-board tbody tr:visible td:first-child").all_inner_texts()
    return [cell.removesuffix(" †") for cell in cells]


def _column(page, head):
    heads = page.locator("#d0-board th").all_inner_texts()
    at = next(n for n, text in enumerate(heads) if text.startswith(head)) + 1
    return page.locator(f"#d0-board tbody tr td:nth-child({at})").all_inner_texts()


def _sort(page, head):
    page.locator("#d0-board th button", has_text=head).first.click()


def test_a_click_sorts_by_a_column_and_another_turns_it_round(open_page):
    page = open_page()
    before = _labels(page)
    assert before[-1] == "failed"
    _sort(page, "Recall@10")
    falling = [text.split("/")[1][:6] for text in _column(page, "Recall@10")[:-1]]
    assert falling == sorted(falling, reverse=True)
    sorted_heads = page.locator("th[aria-sort]")
    assert sorted_heads.count() == 1
    assert sorted_heads.get_attribute("aria-sort") == "descending"
    _sort(page, "Recall@10")
    rising = [text.split("/")[1][:6] for text in _column(page, "Recall@10")[:-1]]
    assert rising == sorted(falling)
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    assert _labels(page)[-1] == "failed"  # rows without a value stay last


def test_names_sort_as_text_and_the_keyboard_does_it_too(open_page):
    page = open_page()
    page.locator("#d0-board th button", has_text="method").focus()
    page.keyboard.press("Enter")
    assert _labels(page) == sorted(_labels(page), reverse=True)
    page.keyboard.press("Enter")
    assert _labels(page) == sorted(_labels(page))


def test_names_that_begin_with_digits_are_names(open_page, other_path):
    page = open_page(file=other_path)
    _sort(page, "method")
    assert _labels(page) == ["external", "4rec-b", "4rec-a", "10rec"]
    _sort(page, "method")
    assert _labels(page) == ["10rec", "4rec-a", "4rec-b", "external"]


@pytest.mark.parametrize(
    ("keys", "rising"),
    [
        (["10", "9", "1e-05", "-2.5"], ["-2.5", "1e-05", "9", "10"]),
        (["10", "9", "1a"], ["10", "1a", "9"]),  # one name makes all of them names
        (["2", "", "10"], ["2", "10", ""]),
    ],
)
def test_a_column_is_sorted_as_numbers_where_all_of_it_are(open_page, keys, rising):
    page = open_page()
    page.evaluate(
        """keys => {
            const body = document.querySelector("#d0-board tbody");
            while (body.rows.length > keys.length) body.deleteRow(-1);
            keys.forEach((key, n) => { body.rows[n].cells[0].dataset.key = key; });
        }""",
        keys,
    )
    _sort(page, "method")
    _sort(page, "method")
    cells = page.locator("#d0-board tbody tr td:first-child")
    assert cells.evaluate_all("cells => cells.map(cell => cell.dataset.key)") == rising


def test_a_row_whose_inputs_are_not_stated_can_be_chosen(open_page, other_path):
    page = open_page(file=other_path)
    page.locator("select").select_option("not stated")
    assert _labels(page) == ["external"]
    page.locator("select").select_option("item ids")
    assert sorted(_labels(page)) == ["10rec", "4rec-a", "4rec-b"]


def test_the_filter_hides_rows_and_says_how_many_are_left(open_page):
    page = open_page()
    page.locator("input[type=search]").fill("  TO")
    assert _labels(page) == ["toy"]
    assert page.locator("output").inner_text() == "1 of 5"
    page.locator("input[type=search]").fill("")
    assert len(_labels(page)) == 5
    page.locator("select").select_option("item ids")
    assert len(_labels(page)) == 5
    page.locator("select").select_option("item text")
    assert _labels(page) == ["toy"]  # it saw both kinds
    page.locator("input[type=search]").fill("no such method")
    assert _labels(page) == []


def test_a_link_opens_the_page_of_a_cell(open_page):
    page = open_page()
    cell = page.locator("details[id='d0-c0']")
    assert cell.get_attribute("open") is None
    page.locator("#d0-board tbody a").first.click()
    assert page.url.endswith("#d0-c0")
    expect_open(cell)
    assert cell.locator("table").first.is_visible()
    cell.locator("table a").first.click()
    expect_open(page.locator("details[id='d0-u3']"))


def test_an_address_with_an_anchor_opens_its_part(open_page):
    page = open_page("#d0-c2")
    assert page.locator("details[id='d0-c2']").get_attribute("open") is not None


def test_texts_that_look_like_code_are_shown_and_do_nothing(open_page):
    page = open_page()
    assert "owned" not in page.title().replace(made.SCRIPT, "")
    page.locator("details[id='d0-u3'] > summary").click()
    assert made.SCRIPT in page.locator("details[id='d0-u3']").inner_text()
    assert page.locator("img").count() == 0


def test_a_script_that_slipped_in_would_not_run(browser, path, tmp_path):
    page_with = path.read_text().replace("</main>", f"{made.SCRIPT}</main>")
    (tmp_path / "evil.html").write_text(page_with)
    page = browser.new_page()
    page.goto((tmp_path / "evil.html").as_uri())
    assert page.title() != "owned"  # the page's own policy allows its own script alone
    assert page.locator("#d0-board th button").first.is_enabled()
    page.close()


def _background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def _brightness(colour):
    return sum(int(part) for part in colour.strip("rgba()").split(",")[:3])


def test_dark_and_light(open_page):
    dark = open_page(color_scheme="dark")
    light = open_page(color_scheme="light")
    assert _brightness(_background(dark)) < 200
    assert _brightness(_background(light)) > 600
    colour = "getComputedStyle(document.querySelector('figure svg text')).fill"
    assert dark.evaluate(colour) != light.evaluate(colour)


def test_a_phone_scrolls_tables_and_not_the_page(open_page):
    page = open_page(viewport={"width": 390, "height": 844})
    _open_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.querySelector('.scroll').scrollWidth") > 390


def _open_all(page):
    for details in page.locator("main details").all():
        details.evaluate("part => { part.open = true; }")


SCROLLED = """frames => frames.filter(frame => frame.scrollWidth > frame.clientWidth).map(frame => {
    frame.scrollLeft = 60;
    const box = part => part.getBoundingClientRect();
    const caption = frame.querySelector("caption");
    const firsts = Array.from(frame.querySelectorAll("tr > :first-child"));
    return {
        moved: frame.scrollLeft,
        frame: [box(frame).left, box(frame).right],
        caption: caption && [box(caption).left, box(caption).right, caption.scrollWidth],
        lefts: firsts.map(cell => box(cell).left),
        colours: firsts.map(cell => getComputedStyle(cell).backgroundColor),
    };
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_captions_and_first_columns_stay_in_sight(open_page, scheme):
    page = open_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    _open_all(page)
    scrolled = page.locator(".scroll").evaluate_all(SCROLLED)
    assert len(scrolled) >= 4  # the board, tests, the paper's table, cells
    assert sum(one["caption"] is not None for one in scrolled) >= 3
    for one in scrolled:
        left, right = one["frame"]
        assert one["moved"] > 0
        assert set(one["lefts"]) == {left}
        assert set(one["colours"]) == {_background(page)}  # opaque: nothing shines through
        if one["caption"]:
            start, end, width = one["caption"]
            assert left <= start
            assert end <= right
            assert width <= end - start + 1


def test_a_column_of_numbers_is_not_broken_within_them(open_page):
    page = open_page(viewport={"width": 390, "height": 844})
    _open_all(page)
    user = page.locator("details[id='d0-c0'] td:first-child a").first
    assert user.bounding_box()["height"] < 30
    assert page.locator("details[id='d0-c0'] th").first.bounding_box()["height"] < 40


NUMBERS_ON_TWO_LINES = """cells => cells.flatMap(cell => {
    const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), found = [];
    for (let node = text.nextNode(); node; node = text.nextNode()) {
        for (const match of node.data.matchAll(/[-+]?\\d[\\d.,]*(e[-+]?\\d+)?/g)) {
            const range = document.createRange();
            range.setStart(node, match.index);
            range.setEnd(node, match.index + match[0].length);
            const tops = new Set(Array.from(range.getClientRects(), box => box.top));
            if (tops.size > 1) found.push(match[0]);
        }
    }
    return found;
})"""


def test_paper_never_breaks_a_number(open_page, other_path):
    page = open_page(file=other_path, viewport={"width": 500, "height": 700})
    page.emulate_media(media="print")
    small = page.locator("td .unbroken")
    assert small.count() > 0  # p-values with an exponent
    assert page.locator("td").evaluate_all(NUMBERS_ON_TWO_LINES) == []
    # the test sees what it looks for
    page.add_style_tag(content="td, td * { white-space: normal !important; width: 1px; }")
    assert any("e-" in one for one in page.locator("td").evaluate_all(NUMBERS_ON_TWO_LINES))


def test_paper_neither_scrolls_nor_holds_columns(open_page):
    page = open_page()
    page.emulate_media(media="print")
    cells = page.locator(".scroll tr > :first-child, .scroll caption")
    positions = cells.evaluate_all("all => all.map(one => getComputedStyle(one).position)")
    assert set(positions) == {"static"}


def test_print_leaves_out_controls_and_is_light(open_page):
    page = open_page(color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator(".controls").is_visible()
    assert _brightness(_background(page)) > 600


def test_paper_holds_the_cells_that_a_screen_folds(open_page):
    page = open_page()
    cell = page.locator("details[id='d0-c0']")
    assert not cell.locator("dl").is_visible()
    page.emulate_media(media="print")
    assert cell.get_attribute("open") is None
    assert cell.locator("dl").bounding_box()["height"] > 40
    assert cell.locator("table").bounding_box()["height"] > 20
    assert not cell.locator("pre").is_visible()  # the whole record would fill a page by itself


def test_plots_keep_their_size_on_a_phone(open_page):
    page = open_page(viewport={"width": 390, "height": 844})
    for plot in page.locator(".plot").all():
        frame = plot.bounding_box()["width"]
        assert frame <= 390
        assert plot.locator("svg").bounding_box()["width"] >= 600  # scrolled within its frame


def test_every_seed_is_led_to(open_page):
    page = open_page()
    row = page.locator("#d0-board tbody tr", has_text="toy").first
    for place, link in enumerate(row.locator("td:nth-child(3) a").all()):
        link.click()
        opened = page.locator(f"details[id='{page.url.partition('#')[2]}']")
        expect_open(opened)
        assert opened.locator("summary").first.inner_text() == f"toy, seed {place}"


def expect_open(details):
    from playwright.sync_api import expect

    expect(details).to_have_attribute("open", "")  # waits: the browser tells of a new anchor later


def test_without_javascript_everything_is_there(browser, path):
    page = browser.new_page(java_script_enabled=False)
    page.goto(path.as_uri())
    assert page.locator("#d0-board tbody tr").count() == 5
    assert not page.locator(".controls").is_visible()
    assert page.locator("#d0-board th button").first.is_disabled()
    page.close()
