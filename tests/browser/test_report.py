"""The report in a real browser: sorting, filtering, links, both schemes, a phone, print."""

from __future__ import annotations

import shutil

import pytest

from harness.report import report_page
from tests.unit.report import made

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    binary = next((found for name in NAMES if (found := shutil.which(name))), None)
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
    page = report_page(
        made.table(records), {"tiny": records}, {"tiny": made.facts()},
        texts={"tiny": made.TEXTS}, local=True,
    )  # fmt: skip
    (folder / "report.html").write_text(page, encoding="utf-8")
    return folder / "report.html"


@pytest.fixture
def open_page(browser, path):
    """Return a function that opens the report; whatever it complains of fails the test."""
    pages, complaints = [], []

    def open_(anchor="", **options):
        page = browser.new_page(**options)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on(
            "request",
            lambda request: complaints.append(request.url)
            if not request.url.startswith("file:") else None,
        )  # fmt: skip
        page.goto(f"{path.as_uri()}{anchor}")
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
    for details in page.locator("main details").all():
        details.evaluate("part => { part.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.querySelector('.scroll').scrollWidth") > 390


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
