"""Photograph the report's page for the README: ``python docs/screenshots.py`` after a run."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

PAGE = Path("report/index.html")
OUTPUT = Path("docs")
QUALITY = 80  # of WebP


@contextmanager
def opened(browser: Browser, width: int, height: int, scheme: str) -> Iterator[Page]:
    """The page at a size in pixels and in a colour scheme."""
    size = {"width": width, "height": height}
    tab = browser.new_page(viewport=size, color_scheme=scheme, device_scale_factor=1.5)
    tab.goto(PAGE.resolve().as_uri())
    yield tab
    tab.close()


def photograph(tab: Page, selector: str, name: str) -> None:
    """What the window shows from the top of an element on."""
    scroll = "e => e.scrollIntoView({behavior: 'instant'})"
    tab.eval_on_selector(selector, scroll)
    tab.wait_for_timeout(300)
    picture = Image.open(BytesIO(tab.screenshot()))
    picture.save(OUTPUT / f"{name}.webp", quality=QUALITY, method=6)


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        with opened(browser, 1200, 900, "light") as tab:
            tab.eval_on_selector(".example .pick input[value$=r4]", "e => e.click()")
            photograph(tab, ".example", "report-listen")
            photograph(tab, "#scores", "report-scores")
        with opened(browser, 390, 844, "dark") as tab:
            photograph(tab, ".player", "report-phone")
        browser.close()


if __name__ == "__main__":
    main()
