"""The page in a real browser, opened as a file: errors, switches, filters, colours, narrow screens, hostile names."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from prunegap.report.page import write_report
from prunegap.study.row import Row
from report.made import GAP, Widths, rows, store_rows

ATTACK = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
WIDTHS: Widths = {**GAP, (0.02, "neuron"): [(49, 50), (58, 70), (75, None)], (0.2, "block:2"): [(5, 9)] * 3,
                  (0.02, "block:2"): [(8, 20)] * 3}  # fmt: skip


def _browser() -> tuple[str, str] | None:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


pytestmark = pytest.mark.skipif(
    _browser() is None and "CI" not in os.environ, reason="needs Chromium and its driver on the PATH"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    found = _browser()
    assert found is not None, "CI needs Chromium and its driver on the PATH"
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for argument in ("--no-sandbox", "--headless=new", "--disable-background-networking", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(found[1]))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    """A study with every status, two settings, and strings that want to be run."""
    made_up = [replace(row, reason=ATTACK) for row in [*rows(WIDTHS, 2), *rows(GAP, 3)]]
    parent = tmp_path_factory.mktemp("study")
    directory = store_rows(parent / "<img src=x onerror=window.hacked=1>", made_up)
    write_report(directory)
    return directory, made_up


@pytest.fixture
def page(browser: webdriver.Chrome, study: tuple[Path, list[Row]]) -> webdriver.Chrome:
    return _opened(browser, study[0] / "report.html")


def _opened(browser: webdriver.Chrome, page: Path) -> webdriver.Chrome:
    """The page, newly opened on a wide screen."""
    _screen(browser, 1100)
    _prefer(browser, "light")
    browser.get(page.as_uri())
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    return browser


def _screen(browser: webdriver.Chrome, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def _prefer(browser: webdriver.Chrome, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def _shown(page: webdriver.Chrome, selector: str) -> int:
    """Return how many elements are drawn."""
    script = "return [...document.querySelectorAll(arguments[0])].filter((e) => e.getClientRects().length).length"
    return int(page.execute_script(script, selector))


def _data(page: webdriver.Chrome) -> Any:
    return json.loads(str(page.find_element(By.ID, "study-data").get_attribute("textContent")))


def _cells(page: webdriver.Chrome) -> list[list[str]]:
    script = (
        "return [...document.querySelectorAll('#table tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    )
    return list(page.execute_script(script))


def test_it_opens_without_errors_and_runs_nothing_hostile(page: webdriver.Chrome) -> None:
    assert page.get_log("browser") == []  # type: ignore[no-untyped-call]
    assert page.execute_script("return window.hacked") is None
    assert page.find_elements(By.TAG_NAME, "img") == []
    assert "onerror=window.hacked" in page.find_element(By.CLASS_NAME, "brand").text
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_the_policy_stops_what_might_slip_through(page: webdriver.Chrome) -> None:
    page.execute_script(
        "const s = document.createElement('div'); s.innerHTML = '<img src=x onerror=\"window.slipped=1\">';"
        "document.body.append(s); const t = document.createElement('script'); t.textContent = 'window.slipped=1';"
        "document.body.append(t)"
    )
    assert page.execute_async_script("setTimeout(() => arguments[0](window.slipped ?? 0), 200)") == 0
    page.get_log("browser")  # type: ignore[no-untyped-call]


def test_every_row_of_the_study_is_in_the_table(page: webdriver.Chrome, study: tuple[Path, list[Row]]) -> None:
    expected = []
    for row in study[1]:
        low = row.lower + 1
        width = f"{low} or more" if row.upper is None else str(low) if low == row.upper else f"{low}–{row.upper}"
        cell = row.cell
        expected.append((str(cell.dimension), f"{cell.epsilon:g}", cell.granularity.name, str(cell.seed), width,
                         row.status.value))  # fmt: skip
    assert len(_data(page)["rows"]) == len(expected)
    told = []
    while True:
        told += [tuple(line[:6]) for line in _cells(page)]
        following = page.find_element(By.CSS_SELECTOR, "#pages [value=next]")
        if not following.is_enabled():
            break
        following.send_keys(Keys.ENTER)
    assert sorted(told) == sorted(expected)


def test_filters_by_keyboard_and_what_they_announce(page: webdriver.Chrome) -> None:
    label = page.find_element(By.XPATH, "//form[@id='filters']/label[text()='granularity']/select")
    label.send_keys("neuron")
    assert {line[2] for line in _cells(page)} == {"neuron"}
    count = page.find_element(By.ID, "count")
    assert count.text == "12 of 30 cells match."
    assert count.get_attribute("aria-live") == "polite"
    status = Select(page.find_element(By.XPATH, "//form[@id='filters']/label[text()='status']/select"))
    status.select_by_visible_text("censored")
    assert [line[4:6] for line in _cells(page)] == [["76 or more", "censored"]]
    page.find_element(By.CSS_SELECTOR, "#filters [type=reset]").send_keys(Keys.ENTER)
    assert (
        page.execute_async_script("setTimeout(() => arguments[0](document.getElementById('count').textContent), 50)")
        == "All 30 cells."
    )


def test_headings_sort_both_ways(page: webdriver.Chrome) -> None:
    button = page.find_element(By.XPATH, "//th/button[text()='minimal width']")
    for direction, first in (("ascending", "6–9"), ("descending", "80")):
        button.send_keys(Keys.ENTER)
        assert button.find_element(By.XPATH, "..").get_attribute("aria-sort") == direction
        assert _cells(page)[0][4] == first


def test_switches_hide_what_they_name_by_keyboard_too(page: webdriver.Chrome) -> None:
    figure = "#width-d2-relu-uniform"
    for value, drawn in (("g1", "svg.wide .g1"), ("seeds", "svg.wide .seeds")):
        assert _shown(page, f"{figure} {drawn}") > 0
        box = page.find_element(By.CSS_SELECTOR, f"{figure} [value={value}]")
        box.send_keys(Keys.SPACE)
        assert _shown(page, f"{figure} {drawn}") == 0
        assert _shown(page, f"{figure} svg.wide .g0") > 0
        box.send_keys(Keys.SPACE)
        assert _shown(page, f"{figure} {drawn}") > 0
    figure = "#laws-d3-relu-uniform"
    assert _shown(page, f"{figure} svg.wide .bounds") > 0
    page.find_element(By.CSS_SELECTOR, f"{figure} [value=bounds]").send_keys(Keys.SPACE)
    assert _shown(page, f"{figure} svg.wide .bounds") == 0
    for value, shown, hidden in (("log", ".law-log", ".law-power"), ("power", ".law-power", ".law-log")):
        page.find_element(By.CSS_SELECTOR, f"{figure} [value=law-{value}]").send_keys(Keys.SPACE)
        assert _shown(page, f"{figure} svg.wide {hidden}") == 0
        fitted = page.execute_script(
            "return document.querySelectorAll(arguments[0]).length", f"{figure} svg.wide {shown}"
        )
        assert _shown(page, f"{figure} svg.wide {shown}") == fitted
    page.find_element(By.CSS_SELECTOR, f"{figure} [value=law-none]").send_keys(Keys.SPACE)
    assert _shown(page, f"{figure} svg.wide .law") == 0


def test_the_slider_reads_the_study_at_one_epsilon(page: webdriver.Chrome) -> None:
    section = page.find_element(By.CSS_SELECTOR, ".setting[data-setting=d2-relu-uniform]")
    slider = section.find_element(By.CSS_SELECTOR, ".epsilon")
    readout = section.find_element(By.CSS_SELECTOR, ".readout")
    (block,) = [block for block in _data(page)["blocks"] if block["name"] == "d2-relu-uniform"]
    assert block["widths"]["weight"][1] == {"median": [24, 24], "text": "24 (20–30)"}
    assert "weight 24 (20–30)" in readout.text
    slider.send_keys(Keys.ARROW_LEFT)
    assert slider.get_attribute("aria-valuetext") == "ε = 0.2"
    for name in block["granularities"]:
        assert f"{name} {block['widths'][name][0]['text']}" in readout.text
    assert _shown(page, ".setting[data-setting=d2-relu-uniform] svg.wide .strong.e0") > 0
    assert _shown(page, ".setting[data-setting=d2-relu-uniform] svg.wide .strong.e1") == 0


def test_settings_can_be_chosen(page: webdriver.Chrome) -> None:
    assert _shown(page, ".setting") == 2
    Select(page.find_element(By.ID, "setting")).select_by_value("d3-relu-uniform")
    assert _shown(page, ".setting") == 1


def test_light_and_dark_follow_the_system_until_the_reader_decides(page: webdriver.Chrome) -> None:
    def paper() -> str:
        return str(page.execute_script("return getComputedStyle(document.body).backgroundColor"))

    light, dark = "rgb(255, 255, 255)", "rgb(20, 24, 28)"
    assert paper() == light
    _prefer(page, "dark")
    assert paper() == dark
    fill = "return getComputedStyle(document.querySelector('svg.wide text')).fill"
    assert page.execute_script(fill) == "rgb(169, 177, 186)"
    page.find_element(By.CSS_SELECTOR, "[name=theme][value='']").send_keys(Keys.ARROW_RIGHT)
    assert paper() == light
    page.refresh()
    assert paper() == light
    page.find_element(By.CSS_SELECTOR, "[name=theme][value=light]").send_keys(Keys.ARROW_RIGHT)
    _prefer(page, "light")
    assert paper() == dark


@pytest.mark.parametrize("width", [360, 751, 760, 1100])
def test_it_fits_the_screen_and_stays_legible(page: webdriver.Chrome, width: int) -> None:
    _screen(page, width)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert page.execute_script("return document.body.scrollWidth") <= width
    smallest = page.execute_script(
        """return Math.min(...[...document.querySelectorAll('body *')].filter((e) => e.getClientRects().length
             && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())
             && !e.closest('script, style, option')).map((e) => {
               const svg = e.ownerSVGElement;
               const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
               return parseFloat(getComputedStyle(e).fontSize) * scale; }))"""
    )
    assert smallest >= 12.0
    assert _shown(page, "figure svg.narrow") == (0 if width > 750 else _shown(page, "figure.chart"))


def test_no_two_labels_of_a_picture_overlap(page: webdriver.Chrome) -> None:
    for width in (360, 1100):
        _screen(page, width)
        overlapping = page.execute_script(
            """const found = [];
               for (const svg of document.querySelectorAll('figure svg[role=img]')) {
                 const boxes = [...svg.querySelectorAll('text')].filter((t) => t.getClientRects().length)
                   .map((t) => [t.textContent, t.getBoundingClientRect()]);
                 const edge = svg.getBoundingClientRect();
                 boxes.forEach(([a, p], i) => {
                   if (p.right > edge.right + 1 || p.left < edge.left - 1) found.push([a, 'edge']);
                   for (const [b, q] of boxes.slice(i + 1))
                     if (p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 4 && q.top < p.bottom - 4)
                       found.push([a, b]);
                 });
               }
               return found"""
        )
        assert overlapping == []


def test_every_line_of_a_table_has_its_headings(page: webdriver.Chrome) -> None:
    ragged = page.execute_script(
        """return [...document.querySelectorAll('table')].filter((table) =>
             !table.caption || [...table.rows].some((row) => row.cells.length !== table.rows[0].cells.length)
             || [...table.rows[0].cells].some((cell) => cell.scope !== 'col')).length"""
    )
    assert ragged == 0


def test_landmarks_labels_and_headings(page: webdriver.Chrome) -> None:
    assert [_shown(page, tag) for tag in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
    unnamed = page.execute_script(
        """const named = 'input, select, button, section, nav, form, [role=region]';
           return [...document.querySelectorAll(named)].filter((e) =>
             !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()
               || document.getElementById(e.getAttribute('aria-labelledby')))).length"""
    )
    assert unnamed == 0
    levels = page.execute_script("return [...document.querySelectorAll('h1,h2,h3')].map((h) => +h.tagName[1])")
    assert all(after - before <= 1 for before, after in pairwise(levels))
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    focused = page.switch_to.active_element
    assert focused.text == "Skip to the result"
    assert focused.size["height"] > 0


def test_ten_thousand_cells_stay_smooth(browser: webdriver.Chrome, tmp_path: Path) -> None:
    widths: Widths = {
        (epsilon, name): [(20 + seed % 31, 21 + seed % 31) for seed in range(500)]
        for epsilon in (0.2, 0.1, 0.05, 0.02, 0.01)
        for name in ("weight", "neuron")
    }
    made_up = [*rows(widths, 2), *rows(widths, 3)]
    directory = store_rows(tmp_path / "big", made_up)
    write_report(directory)
    assert (directory / "report.html").stat().st_size < 5_000_000
    browser.get((directory / "report.html").as_uri())
    assert browser.find_element(By.ID, "count").text == "All 10,000 cells."
    assert len(_cells(browser)) == 25
    assert browser.execute_script("return document.querySelectorAll('*').length") < 3000
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]
