"""The report in a real browser: it draws, obeys, asks no network, and prints."""

from __future__ import annotations

import shutil

import pytest

from tests.measured import several, usual
from tests.report.sweeps import KINDS, NAN

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a report; afterwards nothing may have been fetched or complained about."""
    pages, complaints, asked = [], [], []

    def open_(sweep, **options):
        path = sweep.report(tmp_path / "sweep.html", **options)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector(".chart:not([data-drawn])", state="detached", timeout=10_000)
        pages.append(page)
        return page

    yield open_
    for page in pages:
        page.wait_for_timeout(50)
        page.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert len(asked) >= len(pages)


def visible(page, name):
    """Traces of a chart that show and have something to show."""
    shown = "document.getElementById(name).calcdata.filter(each => each[0].trace.visible === true)"
    return page.evaluate(f"name => {shown}.length", name)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sweep_draws(opened, kind):
    page = opened(KINDS[kind]())
    assert page.title() == "Learning-rate sweep"  # which hostile text would have changed
    for name in page.evaluate("[...document.querySelectorAll('.chart')].map(e => e.id)"):
        assert page.locator(f"#{name} svg.main-svg").count() > 0
        box = page.locator(f"#{name} .plot-container").bounding_box()
        assert box["width"] > 600
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def ticks(page, name):
    return [text for text in page.locator(f"#{name} .ytick text").all_text_contents() if text]


def test_loss_axes_have_several_numbers_whether_logarithmic_or_not(opened):
    page = opened(usual([[-2.15, -2.2], [-2.4, -2.5], [-2.85, -2.86], [-2.6, -2.7], [NAN, NAN]], start=-2.1))
    assert len(ticks(page, "basin")) >= 3
    page = opened(usual())
    assert len(ticks(page, "basin")) >= 3
    page.locator("#figure-basin input[data-facet=log]").uncheck()
    assert len(ticks(page, "basin")) >= 3


def test_numbers_in_cells_too_small_for_them_are_hidden(opened):
    page = opened(KINDS["two hyperparameters"]())
    numbers = page.locator(".heatmap-label")
    assert numbers.count() > 0
    assert numbers.first.is_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    assert not numbers.first.is_visible()


def test_seeds_and_regimes_are_switched(opened):
    page = opened(KINDS["usual"]())
    medians = visible(page, "curves")
    page.locator("#figure-curves input[value=seed]").check()
    everything = visible(page, "curves")
    assert everything > medians
    page.locator("#figure-curves input[value=median]").uncheck()
    assert visible(page, "curves") == everything - 5
    for box in page.locator("#figure-curves input[data-facet=regime]").all():
        box.uncheck()
    assert visible(page, "curves") == 1  # what carries the colour bar
    before = visible(page, "basin")
    page.locator("#figure-basin input[value=seed]").uncheck()
    assert visible(page, "basin") == before - 1


def test_losses_and_axes_are_switched(opened):
    page = opened(KINDS["usual"]())
    axis = "document.getElementById('curves').layout.yaxis"
    assert page.evaluate(f"[{axis}.type, {axis}.title.text]") == ["log", "held-out loss"]
    page.locator("#figure-curves input[value=training]").check()
    assert page.evaluate(f"[{axis}.type, {axis}.title.text]") == ["log", "training loss"]
    assert visible(page, "curves") == 6
    page.locator("#figure-curves input[data-facet=log]").uncheck()
    assert page.evaluate(f"{axis}.type") == "linear"


def column(page, index):
    rows = "[...document.getElementById('points').tBodies[0].rows]"
    return page.evaluate(f"index => {rows}.map(row => row.cells[index].innerText)", index)


def test_the_table_sorts_by_click_and_by_key(opened):
    page = opened(KINDS["usual"]())
    rates = column(page, 2)
    losses = page.locator("#points th button", has_text="held-out loss")
    losses.click()
    assert [text.split()[0] for text in column(page, 3)] == ["0.995", "1.005", "3", "8.5", "-"]
    losses.click()
    assert [text.split()[0] for text in column(page, 3)] == ["8.5", "3", "1.005", "0.995", "-"]
    assert page.locator("#points th[aria-sort=descending]").count() == 1
    rate = page.locator("#points th button", has_text="learning_rate")
    rate.focus()
    page.keyboard.press("Enter")
    assert column(page, 2) == rates
    page.keyboard.press("Space")
    assert column(page, 2) == rates[::-1]


def test_pointing_at_a_point_shows_it(opened):
    page = opened(KINDS["hostile"]())
    shown = page.locator("#basin .hoverlayer")
    mark = page.locator("#basin .scatterlayer path.point").first
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#basin .hoverlayer .hovertext")
    assert "learning_rate = " in shown.text_content()


def test_charts_keep_their_place_when_the_window_changes(opened):
    page = opened(KINDS["usual"]())
    for width in (500, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(500)
        for name in ("basin", "curves"):
            chart = page.locator(f"#{name} svg.main-svg").first.bounding_box()
            caption = page.locator(f"#figure-{name} figcaption").bounding_box()
            assert chart["width"] < width
            assert chart["y"] + chart["height"] <= caption["y"] + 1


def test_no_button_sends_the_chart_anywhere(opened):
    page = opened(KINDS["usual"]())
    titles = page.evaluate("[...document.querySelectorAll('#basin .modebar-btn')].map(e => e.dataset.title)")
    assert len(titles) == 6
    assert not any(word in title.lower() for title in titles for word in ("share", "cloud", "edit", "send"))


def test_it_prints_without_controls_and_within_the_paper(opened, tmp_path):
    page = opened(KINDS["usual"]())
    page.emulate_media(media="print")
    assert not page.locator("#figure-curves .controls").is_visible()
    assert not page.locator("nav").is_visible()
    page.emulate_media(media="screen")
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000


@pytest.mark.parametrize("kind", ["usual", "objects", "two hyperparameters"])
def test_paper_is_wide_enough_and_used_in_its_width(opened, kind):
    page = opened(KINDS[kind]())
    page.set_viewport_size({"width": 688, "height": 970})  # A4 without its margins
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    cards = [card.bounding_box() for card in page.locator(".cards > div").all()]
    assert len({round(card["y"]) for card in cards}) == 2


def test_a_very_long_value_fits_on_paper(opened):
    page = opened(several(["x" * 150, "y " * 75, "short"], "a_very_long_name_" * 5))
    page.set_viewport_size({"width": 688, "height": 970})
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
