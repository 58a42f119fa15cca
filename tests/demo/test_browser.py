"""The page in a browser, used by a visitor with a picture and no Python."""

import concurrent.futures
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
from PIL import Image

from blindsr_jax.weights.bundle import save_bundle
from tests.demo import browsing
from tests.inference.conftest import tiny_bundle

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(browsing.missing()), reason=f"a browser cannot open the page: {browsing.missing()}"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def address(folder):
    save_bundle(folder / "tiny.safetensors", tiny_bundle())
    with browsing.page(folder, "--model", str(folder / "tiny.safetensors"), "--max-megapixels", "0.9") as address:
        yield address
    assert list((folder / "temporary").iterdir()) == [], "uploads and results are removed when the page ends"


@pytest.fixture(scope="module")
def driver(folder):
    with browsing.browser(folder / "downloads") as driver:
        yield driver


@pytest.fixture
def visitor(driver, address):
    return browsing.Visitor(driver, address)


@pytest.fixture(scope="module")
def newcomer(driver, address):
    """Who has just opened the page: of the first three tests, of which only the last one changes it."""
    return browsing.Visitor(driver, address)


def _picture(path, size, colour):
    """A picture of one colour with faint structure; ``size`` is width and height."""
    pixels = np.random.default_rng(0).integers(-8, 9, (size[1], size[0], 1)) + np.array(colour)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


def _loaded(visitor):
    """Widths and heights, in pixels of the page, of the pictures at 100 %."""
    images = visitor.driver.find_elements("css selector", "#compared .close img")
    script = "return [...arguments].every(e => e.complete && e.naturalWidth)"
    browsing.wait(lambda: visitor.driver.execute_script(script, *images), 10, "the pictures")
    return [[image.rect["width"], image.rect["height"]] for image in images]


def _contrast_on_white(levels):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (level / 255 for level in levels)]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def _downloaded(folder, visitor, selector, name):
    visitor.press(selector)
    return browsing.wait(lambda: (path := folder / "downloads" / name).exists() and path, 20, name)


def test_what_screen_readers_say_and_what_is_pale(newcomer):
    names = [part.accessible_name for part in newcomer.driver.find_elements("css selector", "fieldset")]
    assert names and "Radio" not in newcomer.text("body"), names
    colour = "return getComputedStyle(document.querySelector(arguments[0])).color.match(/[0-9.]+/g).slice(0, 3)"
    for selector in (
        "#message .message",
        "#compared .sides",
        "[role=tab][aria-selected=true]",
        "#family span",
    ):
        levels = [float(level) for level in newcomer.driver.execute_script(colour, selector)]
        assert _contrast_on_white(levels) >= 4.5, (selector, levels)


def test_the_page_begins_with_a_finished_example(newcomer):
    assert _loaded(newcomer) == [[768, 528]] * 2
    newcomer.press("#compared .fitted")
    shown = browsing.wait(lambda: newcomer.find("#compared .full img"), 5, "the whole picture")
    assert abs(shown.rect["width"] - newcomer.find("#compared").rect["width"]) < 40


def test_another_model_brings_its_scales_and_blurs(newcomer):
    assert newcomer.text("#scale label").split() == ["×2"]
    newcomer.press("#family input")
    option = browsing.wait(lambda: newcomer.find("[role=option][aria-label='You know the blur']"), 5, "the list")
    option.click()
    browsing.wait(lambda: newcomer.text("#scale label").split() == ["×1", "×2", "×3", "×4"], 10, "its scales")
    browsing.wait(lambda: "Find it" not in newcomer.text("#blur"), 10, "its blurs")
    assert newcomer.find("#noise") and "USRNet undoes the blur" in newcomer.text("#family")


def test_upload_run_compare_steps_and_download(visitor, folder):
    visitor.upload(_picture(folder / "red.png", (60, 44), (200, 60, 60)))
    visitor.says("#picture-message", "red, 60 × 44 pixels")
    assert "120 × 88 pixels" in visitor.restore()

    after, before = visitor.driver.find_elements("css selector", "#compared .close img")
    assert before.get_attribute("src") != after.get_attribute("src")
    assert _loaded(visitor) == [[120, 88]] * 2, "100 %: a pixel of the picture is a pixel of the page"
    line = visitor.find("#compared .close .line")
    at_half = line.rect["x"]
    visitor.drag(after, 30)
    browsing.wait(lambda: line.rect["x"] > at_half + 20, 5, "the line to follow the mouse")
    visitor.find("#compared input[type=range]").send_keys("\ue011")  # Home
    browsing.wait(lambda: line.rect["x"] < at_half - 40, 5, "the line to follow the keyboard")
    assert "found blur, 11×11" in visitor.text("#compared")

    visitor.press("button[role=tab]:nth-of-type(2)")
    visitor.says("#step-kernel", "step 4")
    at_last = visitor.find("#step-image img").get_attribute("src")
    slider = visitor.find("#step input[type=range]")
    slider.send_keys(*["\ue012"] * 3)  # the left arrow
    visitor.says("#step-kernel", "step 1")
    browsing.wait(lambda: visitor.find("#step-image img").get_attribute("src") != at_last, 10, "the first step")

    image = Image.open(_downloaded(folder, visitor, "#download", "red_x2.png"))
    assert image.size == (120, 88)
    assert np.asarray(image)[..., 0].mean() > np.asarray(image)[..., 1].mean() + 50
    kernel = np.load(_downloaded(folder, visitor, "#download-kernel", "red_x2.kernel.npy"))
    assert kernel.shape == (11, 11)

    hosts = {urllib.parse.urlsplit(url).hostname for url in visitor.asked()}
    assert hosts == {"127.0.0.1"}, visitor.asked()


def test_test_picture_and_drawn_kernel(visitor):
    visitor.press("#ours button")
    visitor.says("#picture-message", "1440 × 720 pixels")
    visitor.says("#blur", "The true one")  # the choices of a test have come
    visitor.choose("#blur", "Draw it")
    assert "the drawing is empty" in visitor.restore()
    visitor.drag(browsing.wait(lambda: visitor.find("#drawing canvas"), 5, "the drawing"), 40)
    assert "PSNR" in visitor.restore()
    assert "true blur" in visitor.text("#compared") and "given blur" in visitor.text("#compared")


def test_bad_and_oversize_files_are_refused_in_words(visitor, folder):
    (folder / "bad.png").write_text("no picture")
    visitor.upload(folder / "bad.png")
    visitor.says("#picture-message", "bad.png: not an image")
    assert "Choose a picture first" in visitor.restore()
    (folder / "huge.png").write_bytes(bytes(41 * 2**20))
    visitor.upload(folder / "huge.png")
    visitor.says("body", "exceed the maximum allowed size")


def test_a_large_picture_is_shrunk_or_cut(visitor, folder):
    visitor.upload(_picture(folder / "large.png", (2000, 1200), (9, 99, 9)))
    visitor.says("#picture-message", "large, 1000 × 600 pixels: shrunk 2 times, from 2000 × 1200")
    visitor.choose("#fit", "Use a part")
    visitor.says("#picture-message", "large, 1224 × 734 pixels: a part of 2000 × 1200")
    whole = visitor.find("#opened img")
    seen = whole.get_attribute("src")
    visitor.tap(whole, -150, -100)
    browsing.wait(lambda: visitor.find("#opened img").get_attribute("src") != seen, 10, "the frame to move")
    visitor.choose("#fit", "Shrink it")
    visitor.says("#picture-message", "shrunk 2 times")


def test_it_is_usable_on_a_phone(visitor, folder):
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    visitor.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        visitor.upload(_picture(folder / "small.png", (160, 90), (200, 60, 60)))
        visitor.says("#picture-message", "160 × 90")
        button = visitor.find("#go").rect
        assert button["width"] > 120 and button["height"] >= 44
        assert (
            visitor.driver.execute_script("return arguments[0].getBoundingClientRect().bottom", visitor.find("#go"))
            < 845
        )
        assert "320 × 180 pixels" in visitor.restore()
        assert visitor.driver.execute_script("return document.documentElement.scrollWidth") == 390
        top = "return document.querySelector('#results').getBoundingClientRect().top"
        browsing.wait(lambda: abs(visitor.driver.execute_script(top)) < 400, 5, "the result to come into view")
    finally:
        visitor.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_run_can_be_stopped(visitor, folder):
    visitor.upload(_picture(folder / "wide.png", (1000, 880), (90, 90, 90)))
    visitor.says("#picture-message", "1000 × 880")
    visitor.press("#go")
    visitor.says("#message", "restoring", seconds=60)
    visitor.press("#stop")
    visitor.says("#message", "Stopped")
    time.sleep(3)  # the current tile ends within this time
    assert "Stopped" in visitor.text("#message")
    assert visitor.find("#go").is_enabled() and not visitor.find("#stop").is_enabled()
    assert visitor.find("#compared") is None


@pytest.mark.drill
def test_who_waits_hears_how_many_are_before(visitor, folder, address):
    """test_turns.py has the queue without a browser, and the last test below two visitors at once."""
    wide = _picture(folder / "wide2.png", (1000, 880), (90, 90, 90))
    with browsing.browser(folder / "downloads") as other_driver:
        other = browsing.Visitor(other_driver, address)
        for somebody in (visitor, other):
            somebody.upload(wide)
            somebody.says("#picture-message", "1000 × 880")
        visitor.press("#go")
        visitor.says("#message", "restoring", seconds=60)
        other.press("#go")
        other.says("#message", "Waiting: 1 before you")
        visitor.press("#stop")
        other.says("#message", "restoring", seconds=60)
    visitor.says("#message", "Stopped")
    visitor.upload(folder / "red.png")
    visitor.says("#picture-message", "red")
    assert "120 × 88 pixels" in visitor.restore(), "a closed page does not hold up the others"


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_another_site_gets_no_answer(address, headers):
    for path in ("", "config", "gradio_api/info"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=20)


@pytest.mark.drill
def test_sigterm_ends_a_run(driver, folder):
    """In CI the page of the other tests is ended by SIGTERM, and test_stopping.py ends runs without a page."""
    (folder / "second").mkdir()
    started = time.monotonic()
    with browsing.page(folder / "second", "--max-megapixels", "2") as address:
        visitor = browsing.Visitor(driver, address)
        visitor.upload(_picture(folder / "wide3.png", (1400, 1400), (90, 90, 90)))
        visitor.says("#picture-message", "1400 × 1400")
        visitor.press("#go")
        visitor.says("#message", "restoring", seconds=60)
        time.sleep(2)
        started = time.monotonic()
    assert time.monotonic() - started < 10, "the process ends with its run"
    assert list((folder / "second" / "temporary").iterdir()) == []


def test_two_visitors_at_once_see_their_own(visitor, folder, address):
    green = _picture(folder / "green.png", (50, 40), (60, 200, 60))
    blue = _picture(folder / "blue.png", (58, 46), (60, 60, 200))
    with browsing.browser(folder / "downloads") as other_driver:
        other = browsing.Visitor(other_driver, address)
        for somebody, path in ((visitor, green), (other, blue)):
            somebody.upload(path)
            somebody.says("#picture-message", path.stem)
        with concurrent.futures.ThreadPoolExecutor() as both:
            told = list(both.map(browsing.Visitor.restore, (visitor, other)))
        assert "100 × 80 pixels" in told[0] and "116 × 92 pixels" in told[1]
        theirs = Image.open(_downloaded(folder, other, "#download", "blue_x2.png"))
    ours = Image.open(_downloaded(folder, visitor, "#download", "green_x2.png"))
    assert (ours.size, theirs.size) == ((100, 80), (116, 92))
    assert np.asarray(ours).mean((0, 1)).argmax() == 1 and np.asarray(theirs).mean((0, 1)).argmax() == 2
