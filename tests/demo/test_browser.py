"""The page in a browser, used by a visitor with a picture and no Python."""

import concurrent.futures
import time
import urllib.parse

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


def _picture(path, size, colour):
    """A picture of one colour with faint structure; ``size`` is width and height."""
    pixels = np.random.default_rng(0).integers(-8, 9, (size[1], size[0], 1)) + np.array(colour)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


def _downloaded(folder, visitor, selector, name):
    visitor.press(selector)
    return browsing.wait(lambda: (path := folder / "downloads" / name).exists() and path, 20, name)


def test_upload_run_compare_steps_and_download(visitor, folder):
    visitor.upload(_picture(folder / "red.png", (60, 44), (200, 60, 60)))
    visitor.says("#picture-message", "red, 60 × 44 pixels")
    assert "120 × 88 pixels" in visitor.restore()

    before, after = visitor.driver.find_elements("css selector", "#compared img")
    assert before.get_attribute("src") != after.get_attribute("src")
    at_half = after.get_attribute("style")
    handle = visitor.find("#compared [data-testid=slider]")
    visitor.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
    visitor.drag(handle.find_element("css selector", ".inner"), 60)
    browsing.wait(lambda: after.get_attribute("style") != at_half, 5, "the slider to move")
    assert "found blur, 11×11" in visitor.text("#kernels")

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
    visitor.choose("#blur", "Draw it")
    assert "the drawing is empty" in visitor.restore()
    visitor.drag(browsing.wait(lambda: visitor.find("#drawing canvas"), 5, "the drawing"), 40)
    assert "PSNR" in visitor.restore()
    assert "true blur" in visitor.text("#kernels") and "given blur" in visitor.text("#kernels")


def test_another_model_brings_its_scales_and_blurs(visitor):
    assert visitor.text("#scale label").split() == ["×2"]
    visitor.press("#family input")
    option = browsing.wait(lambda: visitor.find("[role=option][aria-label='You know the blur']"), 5, "the list")
    option.click()
    browsing.wait(lambda: visitor.text("#scale label").split() == ["×1", "×2", "×3", "×4"], 10, "its scales")
    browsing.wait(lambda: "Find it" not in visitor.text("#blur"), 10, "its blurs")
    assert visitor.find("#noise") and "USRNet undoes the blur" in visitor.text("#family")


def test_bad_and_oversize_files_are_refused_in_words(visitor, folder):
    (folder / "bad.png").write_text("no picture")
    visitor.upload(folder / "bad.png")
    visitor.says("#picture-message", "bad.png is not a picture")
    visitor.upload(_picture(folder / "large.png", (1001, 1000), (9, 9, 9)))
    visitor.says("#picture-message", "large.png has 1.0 megapixels")
    assert "0.9" in visitor.text("#picture-message") and "--max-megapixels" in visitor.text("#picture-message")
    assert "Choose a picture first" in visitor.restore()
    (folder / "huge.png").write_bytes(bytes(41 * 2**20))
    visitor.upload(folder / "huge.png")
    visitor.says("body", "exceed the maximum allowed size")


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
