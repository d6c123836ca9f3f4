"""Pages in a real browser: Chromium without a screen, driven by Playwright, offline."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# No sandbox: tests run as root in containers. The others keep Chromium from calling home.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


_BAD = {"error", "warning"}


class Browser:
    """Opens files; a page that errs, logs an error or asks for anything fails the test."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    @contextmanager
    def open(self, path: Path, width: int = 1280, **options: Any) -> Iterator[Any]:
        context = self._driver.new_context(viewport={"width": width, "height": 900}, **options)
        try:
            page = context.new_page()
            asked: list[str] = []
            faults: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda said: said.type in _BAD and faults.append(said.text))
            page.goto(path.as_uri())
            page.wait_for_load_state()
            yield page
            page.wait_for_timeout(100)  # what is drawn late may fail late
            assert faults == []
            assert asked == [path.as_uri()]
        finally:
            context.close()


def fits(page: Any) -> bool:
    """Whether nothing reaches beyond the width of the window."""
    sizes = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return bool(sizes[0] <= sizes[1])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    with playwright.sync_playwright() as engine:
        driver = engine.chromium.launch(executable_path=program, args=list(_FLAGS))
        yield Browser(driver)
        driver.close()
