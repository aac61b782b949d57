"""The comparison's page in a real browser: errors, switches, numbers, narrow screens, keyboard, hostile names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from browser.test_report import ATTACK, _opened, _prefer, _screen, _shown, browser, pytestmark
from prunegap.report.compare_page import write_page
from prunegap.trained.compare.advice import advice
from prunegap.trained.compare.point import Comparison, LayerOutcome, Point, PointStatus, Setting, as_object
from prunegap.trained.compare.text import amount
from prunegap.trained.timing import Span

__all__ = ["browser", "pytestmark"]

SETTING = Setting(
    ATTACK, "accuracy", 64, 2, "cpu", 512, 3, 0, {"weight": "admm", "neuron": "local"}, 0, True, 100_000, 110_000,
    "abc", f"prunegap compare {ATTACK}", {"torch": "2"},
)  # fmt: skip


def point(granularity: str, keep: float, quality: float, speedup: float) -> Point:
    layers = tuple(LayerOutcome(f"{ATTACK}{i}", keep, 0.1 * i, "csr" if i else "dense", ATTACK) for i in range(3))
    return Point(
        granularity, keep, PointStatus.DONE, "", Span(quality, quality - 0.01, quality + 0.01), (quality,),
        int(100_000 * keep), int(5e6 * keep), int(440_000 * keep), Span(0.01, 0.009, 0.012).under(speedup * 0.01),
        Span(speedup, 0.9 * speedup, 1.1 * speedup), layers, 1.0, f"models/{granularity}.safetensors",
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Comparison]:
    done = [point(g, k, 0.9 - 0.1 * (1 - k) * (i + 1), 1.0 + i / k) for i, g in enumerate(("weight", "2:4", "neuron"))
            for k in (0.7, 0.5, 0.1)]  # fmt: skip
    failed = Point("block:4", 0.1, PointStatus.FAILED, ATTACK)
    dense = replace(point("dense", 1.0, 0.93, 1.0), file="")
    made_up = Comparison(SETTING, dense, (*done, failed), ((ATTACK, ATTACK),))
    directory = tmp_path_factory.mktemp("compare")
    (directory / "comparison.json").write_text(json.dumps(as_object(made_up)))
    write_page(directory)
    return directory, made_up


@pytest.fixture
def page(browser: webdriver.Chrome, made: tuple[Path, Comparison]) -> webdriver.Chrome:
    return _opened(browser, made[0] / "compare.html")


def test_it_opens_without_errors_and_runs_nothing_hostile(page: webdriver.Chrome) -> None:
    assert page.get_log("browser") == []  # type: ignore[no-untyped-call]
    assert page.execute_script("return window.hacked") is None
    assert page.find_elements(By.TAG_NAME, "img") == []
    assert "onerror=window.hacked" in page.find_element(By.CLASS_NAME, "brand").text
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_its_numbers_are_those_of_the_comparison(page: webdriver.Chrome, made: tuple[Path, Comparison]) -> None:
    found = made[1]
    assert page.find_element(By.ID, "headline").text == advice(found)
    held = page.find_element(By.ID, "comparison-data").get_attribute("textContent")
    assert json.loads(str(held)) == json.loads((made[0] / "comparison.json").read_text())
    script = (
        "return [...document.querySelectorAll('section[aria-labelledby=points] tbody tr')]"
        ".map((r) => [...r.cells].map((c) => c.textContent.trim()))"
    )
    rows = page.execute_script(script)
    assert len(rows) == 1 + len(found.points)
    for row, one in zip(rows, [found.dense, *found.points], strict=True):
        assert row[:2] == [one.granularity, f"{one.keep_fraction:.3g}"]
        if one.is_done:
            assert one.quality is not None
            assert one.speedup is not None
            assert row[2] == amount(one.cost("weights"))
            assert row[3].startswith(f"{one.quality.median:.4f}")
            assert row[7].startswith(f"{one.speedup.median:.2f}")
        else:
            assert row[2].startswith("failed: ")


def test_costs_and_granularities_are_switched_by_keyboard(page: webdriver.Chrome) -> None:
    assert _shown(page, ".cost") == 1
    assert _shown(page, ".cost-seconds") == 1
    first = page.find_element(By.CSS_SELECTOR, "[value=cost-seconds]")
    first.send_keys(Keys.ARROW_RIGHT)
    assert _shown(page, ".cost-weights") == 1
    assert _shown(page, ".cost") == 1
    assert _shown(page, ".cost-weights .wide .g1") == 1
    page.find_element(By.CSS_SELECTOR, "#front [value=g1]").send_keys(Keys.SPACE)
    assert _shown(page, ".cost-weights .wide .g1") == 0


def test_layers_of_one_point_at_a_time(page: webdriver.Chrome) -> None:
    assert _shown(page, ".layers") == 1
    Select(page.find_element(By.ID, "point")).select_by_visible_text("neuron at 0.1")
    assert _shown(page, ".layers") == 1
    assert "neuron at 0.1" in page.find_element(By.ID, "layers-neuron-0.1").text


def test_every_picture_is_told_in_words(page: webdriver.Chrome) -> None:
    for picture in page.find_elements(By.CSS_SELECTOR, "svg[role=img]"):
        for name in ("aria-labelledby", "aria-describedby"):
            told = page.find_element(By.ID, str(picture.get_attribute(name)))
            assert told.get_attribute("textContent")


@pytest.mark.parametrize("width", [320, 390, 768, 1100])
def test_nothing_is_wider_than_the_screen(page: webdriver.Chrome, width: int) -> None:
    _screen(page, width)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert _shown(page, "#front svg.wide") + _shown(page, "#front svg.narrow") == 1


def test_dark_is_dark(page: webdriver.Chrome) -> None:
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = page.execute_script(paper)
    _prefer(page, "dark")
    assert page.execute_script(paper) != light
    page.find_element(By.CSS_SELECTOR, ".theme [value=light]").send_keys(Keys.SPACE)
    assert page.execute_script(paper) == light
