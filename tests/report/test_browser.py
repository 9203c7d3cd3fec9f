"""The page in headless Chromium: it renders, sorts, filters and selects, loads nothing, and everybody can read it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from report_runs import data_of, write_network, write_study

from gennas.report import write_report
from gennas.report.run import Run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; it comes with gennas[dev]")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed; see gennas[dev]")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; install it: bash scripts/browser.sh")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
             "--disable-sync"]  # fmt: skip
#: Milliseconds within which a page of 24 evaluations is drawn on an idle machine; a busy one gets this many times more.
MOST, BUSY = 2000, 4


@dataclass
class Opened:
    """A page, and what went wrong in it."""

    page: sync_api.Page
    path: Path
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    write_study(folder)
    run = Run.read(folder)
    write_network(folder, run.archs["key"][run.front[0]])
    return write_report(folder)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sync_api.BrowserContext]:
    with sync_api.sync_playwright() as playwright:
        profile = tmp_path_factory.mktemp("profile")
        options = {"executable_path": CHROMIUM, "args": ARGUMENTS, "viewport": {"width": 1280, "height": 900}}
        opened = playwright.chromium.launch_persistent_context(profile, **options)
        yield opened
        opened.close()


@pytest.fixture
def opened(context: sync_api.BrowserContext, written: Path) -> Iterator[Opened]:
    page = context.new_page()
    found = Opened(page, written)
    page.on("console", lambda said: found.errors.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.on("request", lambda asked: found.requests.append(asked.url))
    page.goto(written.as_uri())
    page.wait_for_selector(".plot:not([data-drawn])", state="detached")
    yield found
    page.close()


def column(opened: Opened, place: int) -> list[str]:
    cells = f"[...document.querySelectorAll('#table tbody tr:not([hidden])')].map((row) => row.cells[{place}]"
    found: list[str] = opened.page.evaluate(f"{cells}.dataset.value)")
    return found


def test_it_renders_without_an_error_and_loads_nothing(opened: Opened) -> None:
    count = opened.page.locator(".plot .main-svg").count()
    assert count >= len(data_of(opened.path.read_text())["figures"])
    assert opened.errors == []
    assert [url[:80] for url in opened.requests if not url.startswith("data:")] == [opened.path.as_uri()]


def test_it_is_drawn_within_two_seconds(opened: Opened) -> None:
    timing = "performance.getEntriesByType('navigation')[0].loadEventEnd"
    times = []
    for _ in range(3):
        opened.page.reload()
        opened.page.wait_for_selector("#front .main-svg")
        times.append(opened.page.evaluate(timing))
    is_busy = os.getloadavg()[0] > 0.5 * (os.cpu_count() or 1)
    assert min(times) < MOST * (BUSY if is_busy else 1)


def test_sorting(opened: Opened) -> None:
    heading = opened.page.get_by_role("button", name="accuracy@digits", exact=True)
    heading.click()
    # What failed has no value, and stays at the end.
    up = column(opened, 2)
    assert (len(up), up[-1]) == (24, "")
    assert [float(value) for value in up[:-1]] == sorted(float(value) for value in up[:-1])
    heading.press("Enter")
    down = column(opened, 2)
    assert (down[:-1], down[-1]) == (up[-2::-1], "")
    assert opened.page.locator("th[aria-sort=descending]").inner_text().startswith("accuracy@digits")
    opened.page.get_by_role("button", name="arch", exact=True).click()
    keys = column(opened, 1)
    assert keys == opened.page.evaluate("(keys) => [...keys].sort((a, b) => a.localeCompare(b))", keys)


def test_filtering(opened: Opened) -> None:
    page = opened.page
    page.get_by_label("Proposed by").select_option("mutated")
    assert set(column(opened, 6)) == {"mutated"}
    assert page.locator("#filter-count").inner_text() == "9 of 24 archs"
    page.get_by_label("Contains").fill("NOR_CONV_3X3~0")
    assert column(opened, 1)
    assert all("nor_conv_3x3~0" in key for key in column(opened, 1))
    page.get_by_label("Contains").fill("no such thing")
    assert column(opened, 1) == []
    page.get_by_label("Contains").fill("")
    page.get_by_label("Proposed by").select_option("any")
    page.get_by_label("State").select_option("failed")
    assert column(opened, 7) == ["failed"]
    page.get_by_label("State").select_option("any")
    page.get_by_label("front only").check()
    front = Run.read(opened.path.parent).front
    assert column(opened, 0) == [str(row + 1) for row in front]


def test_a_click_on_a_point_shows_its_drawing_and_its_command(opened: Opened) -> None:
    page, data = opened.page, data_of(opened.path.read_text())
    number = page.evaluate(
        """() => { const plot = document.getElementById('front-0');
        const trace = plot.data.findIndex((one) => one.customdata && !one.name.startsWith('predicted'));
        window.point = [...plot.querySelectorAll('.scatterlayer .trace')].at(trace).querySelector('.point');
        return plot.data[trace].customdata[0]; }"""
    )
    middle = "[x + width / 2, y + height / 2]"
    box = page.evaluate(
        f"() => {{ const {{ x, y, width, height }} = point.getBoundingClientRect(); return {middle}; }}"
    )
    page.mouse.move(*box)
    page.wait_for_selector("#preview:not([hidden]) img")
    page.mouse.click(*box)
    arch = data["archs"][str(number)]
    page.wait_for_function(
        "(text) => document.getElementById('chosen-command').textContent === text", arg=arch["command"]
    )
    assert page.locator("#chosen-key").inner_text() == arch["key"]
    assert page.locator("#chosen-drawing img").get_attribute("src") == data["drawings"][arch["key"]]
    assert "accuracy@digits" in page.locator("#chosen-values").inner_text()
    assert page.locator("tr.picked").get_attribute("data-row") == str(number)


def test_the_keyboard_alone_selects_and_copies(opened: Opened) -> None:
    page = opened.page
    page.locator("#table .pick").nth(5).focus()
    page.keyboard.press("Enter")
    key = column(opened, 1)[5]
    assert page.locator("#chosen-key").inner_text() == key
    button = page.locator("#chosen [data-copy]")
    button.focus()
    page.keyboard.press("Enter")
    sync_api.expect(button).to_have_text("Copied")
    assert opened.errors == []


@pytest.mark.parametrize("width", [360, 768])
def test_a_narrow_screen_is_not_scrolled_sideways(opened: Opened, width: int) -> None:
    opened.page.set_viewport_size({"width": width, "height": 800})
    opened.page.wait_for_timeout(500)
    for one in opened.page.locator("details summary").all():
        one.click()
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    opened.page.set_viewport_size({"width": 1280, "height": 900})


def test_everybody_can_read_it(opened: Opened) -> None:
    opened.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = axe.Axe().run(opened.page).response["violations"]
    bad = [(one["impact"], one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found]
    assert [one for one in bad if one[0] in ("serious", "critical")] == []


def test_it_prints(opened: Opened, tmp_path: Path) -> None:
    opened.page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").stat().st_size > 20_000
    opened.page.emulate_media(media="print")
    # Chromium does not paint buttons where it repeats a header on a further page.
    shown = "[...document.querySelectorAll('#table thead button')].map(one => getComputedStyle(one).display)"
    assert set(opened.page.evaluate(shown)) == {"contents"}
    assert not opened.page.locator("#filters").is_visible()
    opened.page.emulate_media(media="screen")
