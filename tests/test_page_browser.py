"""The report's page in headless Chromium: no outside request, sounds in step, keyboard, themes."""

import re
import shutil

import pytest
from playwright.sync_api import sync_playwright
from small_run import EVIL

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
SPREAD = 0.1
"""Seconds between a segment's sounds that are still together, on a busy machine."""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(page, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def tab(browser, address):
    """The opened page; what it complains of or asks for fails the test."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.set_default_timeout(15_000)
    complaints, requests = [], []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(address)
    yield tab
    tab.close()
    assert complaints == []
    assert requests[0] == address
    assert [url[:60] for url in requests[1:] if not url.startswith("data:")] == []


def states(tab) -> list[dict]:
    """Of each sound of the first segment, all at one instant."""
    return tab.eval_on_selector_all(
        ".example:first-of-type audio",
        "all => all.map(a => ({id: a.closest('.tile').id, time: a.currentTime,"
        " paused: a.paused, muted: a.muted}))",
    )


def wait_until_playing(tab, place: int = 0) -> None:
    tab.wait_for_function(
        "place => [...document.querySelectorAll('.example')[place].querySelectorAll('audio')]"
        ".every(a => !a.paused && a.currentTime > 0.05)",
        arg=place,
    )


def test_every_sound_is_whole_and_plays(tab):
    sounds = tab.eval_on_selector_all(
        "audio",
        """all => Promise.all(all.map(async sound => {
            sound.muted = true;
            await sound.play();
            while (sound.currentTime < 0.02) await new Promise(done => setTimeout(done, 20));
            sound.pause();
            return [sound.duration, sound.currentTime];
        }))""",
    )
    assert len(sounds) == sum(1 + n_src * 5 for n_src in (2, 2, 2, 5))
    assert all(duration == pytest.approx(5.944, abs=0.01) for duration, _ in sounds)
    assert all(time > 0.02 for _, time in sounds)


def test_a_segments_sounds_start_together_and_a_switch_loses_no_instant(tab):
    first = tab.locator(".example").first
    first.get_by_role("button", name="Play").click()
    wait_until_playing(tab)
    before = states(tab)
    times = [state["time"] for state in before]
    assert not any(state["paused"] for state in before)
    assert max(times) - min(times) < SPREAD
    assert [state["id"] for state in before if not state["muted"]] == ["e0-mix"]
    estimate = first.locator(".pick input[value^='e0-s1-r']:not([value$=ref])").first
    estimate.check(force=True)
    after = states(tab)
    (heard,) = [state for state in after if not state["muted"]]
    assert heard["id"] == estimate.get_attribute("value")
    assert heard["time"] >= min(times)
    others = [state["time"] for state in after]
    assert max(others) - min(others) < SPREAD
    # The pictures follow
    shown = first.locator(".axes img")
    tile = tab.locator(f"#{heard['id']}")
    assert shown.nth(0).get_attribute("src") == tile.locator(".spectrogram").get_attribute("src")
    assert shown.nth(1).get_attribute("src") == tile.locator(".mask").get_attribute("src")
    first.get_by_role("button", name="Pause").click()
    assert all(state["paused"] for state in states(tab))


def test_one_segment_at_a_time_and_a_sound_that_ends_repeats(tab):
    examples = tab.locator(".example")
    examples.nth(0).get_by_role("button", name="Play").click()
    wait_until_playing(tab)
    examples.nth(1).get_by_role("button", name="Play").click()
    wait_until_playing(tab, 1)
    assert all(state["paused"] for state in states(tab))
    examples.nth(1).get_by_role("button", name="Pause").click()
    examples.nth(0).get_by_role("slider", name="Position").fill("5.8")
    examples.nth(0).get_by_role("button", name="Play").click()
    tab.wait_for_function(
        "() => [...document.querySelector('.example').querySelectorAll('audio')]"
        ".every(a => !a.paused && a.currentTime < 3 && a.currentTime > 0)"
    )
    times = [state["time"] for state in states(tab)]
    assert max(times) - min(times) < SPREAD


def test_the_keyboard_reaches_everything_and_shows_where_it_is(tab):
    wanted = tab.evaluate(
        """() => {
            const usable = "a[href], button, summary, input:not([type=radio]), [tabindex='0'], "
                + "input[type=radio]:checked";
            const all = [...document.querySelectorAll(usable)];
            const seen = all.filter(e => e.checkVisibility({contentVisibilityAuto: true}));
            seen.forEach((e, place) => { e.dataset.place = place; });
            return seen.length;
        }"""
    )
    reached = set()
    for _ in range(wanted + 5):
        tab.keyboard.press("Tab")
        place, outline = tab.evaluate(
            """() => {
                const e = document.activeElement;
                const marked = e.type === "radio" ? e.nextElementSibling : e;
                return [e.dataset.place, getComputedStyle(marked).outlineStyle];
            }"""
        )
        if place is not None:
            reached.add(int(place))
            assert outline == "solid"
    assert reached == set(range(wanted))


def test_the_player_by_keyboard_alone(tab):
    first = tab.locator(".example").first
    first.get_by_role("button", name="Play").focus()
    tab.keyboard.press("Space")
    wait_until_playing(tab)
    tab.keyboard.press("Space")
    assert all(state["paused"] for state in states(tab))
    tab.keyboard.press("Tab")
    tab.keyboard.press("Home")
    for _ in range(5):
        tab.keyboard.press("ArrowRight")
    assert first.get_by_role("slider").input_value() == "0.05"
    assert {state["time"] for state in states(tab)} == {0.05}
    first.locator(".pick input").first.focus()
    heard = []
    for key in ("ArrowDown", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowUp"):
        tab.keyboard.press(key)
        (state,) = [state for state in states(tab) if not state["muted"]]
        assert tab.evaluate("document.activeElement.value") == state["id"]
        heard.append(state["id"])
    reference, second = "e0-s0-ref", "e0-s1-ref"
    assert heard[:2] == [reference, second]
    assert all(re.fullmatch(r"e0-s1-r\d", name) for name in heard[2:])
    assert heard[4] == heard[2] != heard[3]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_readable_in_both_schemes_and_widths(browser, address, scheme, width):
    tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab.goto(address)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    light = contrast_colours(tab, "body")
    assert (sum(light[1]) > 3 * 128) == (scheme == "light")
    for selector in ("body", ".note", ".table2 .paper", "nav a", ".play", ".kind", "figcaption"):
        assert contrast(*contrast_colours(tab, selector)) >= 4.5, selector
    ink = tab.eval_on_selector(".chart svg text", "e => getComputedStyle(e).fill")
    assert tuple(map(int, re.findall(r"\d+", ink)[:3])) == light[0]  # figures follow the scheme
    tab.close()


def contrast_colours(tab, selector: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Colours of the text and of what is behind it."""
    found = tab.eval_on_selector(
        selector,
        """e => {
            const colour = getComputedStyle(e).color;
            while (getComputedStyle(e).backgroundColor === "rgba(0, 0, 0, 0)") e = e.parentElement;
            return [colour, getComputedStyle(e).backgroundColor];
        }""",
    )
    text, behind = (tuple(map(int, re.findall(r"\d+", colour)[:3])) for colour in found)
    return text, behind


def contrast(first: tuple[int, ...], second: tuple[int, ...]) -> float:
    """Ratio of relative luminances (WCAG 2)."""
    lights = []
    for colour in (first, second):
        linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
    return max(lights) / min(lights)


def test_names_are_text(tab):
    assert EVIL in tab.locator("#listen").inner_text()
    assert tab.locator("img[src='x']").count() == 0


def test_pictures_have_texts(tab):
    lacking = tab.eval_on_selector_all(
        "img, svg[role=img]", "all => all.filter(e => !(e.alt || e.ariaLabel)).map(e => e.id)"
    )
    assert lacking == []


def test_without_scripts_the_page_still_shows_and_plays(browser, address):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(address)
    assert tab.locator(".table2").is_visible()
    assert tab.locator(".musicians img").first.is_visible()
    assert not tab.locator(".transport").first.is_visible()
    tab.locator(".all summary").first.click()
    assert tab.locator(".tile audio[controls]").first.is_visible()
    context.close()
