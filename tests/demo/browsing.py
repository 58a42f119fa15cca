"""A page and a browser that opens it, for the tests and for the picture in the README."""

import contextlib
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing

from tests.compiling import ONE_DEVICE

ROOT = pathlib.Path(__file__).parents[2]
_FLAGS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "disable-dev-shm-usage",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "window-size=1400,1100",
)


def missing() -> str:
    """The reason why no browser can open the page; empty if one can."""
    packages = [name for name in ("gradio", "selenium") if importlib.util.find_spec(name) is None]
    programs = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"not installed: {', '.join(packages + programs)}" if packages + programs else ""


@contextlib.contextmanager
def page(folder: pathlib.Path, *options: str) -> typing.Iterator[str]:
    """Run ``blindsr demo`` in a separate process; yield its address. ``folder / "temporary"`` gets temporary files."""
    (folder / "temporary").mkdir()
    own = {"TMPDIR": str(folder / "temporary"), "XDG_CACHE_HOME": str(folder / "cache"), "XLA_FLAGS": ONE_DEVICE}
    environment = os.environ | own
    command = [sys.executable, "-m", "blindsr_jax.cli", "demo", "--no-browser", *options]
    log = folder / "log.txt"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait(lambda: process.poll() is not None or "http://" in log.read_text(), 120, "the page's address")
        assert process.poll() is None, log.read_text()
        yield log.read_text().split("blindsr demo: ")[1].split()[0]
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
    assert code == 0 and "Traceback" not in log.read_text(), log.read_text()


@contextlib.contextmanager
def browser(downloads: pathlib.Path) -> typing.Iterator[typing.Any]:
    """A new Chromium with an empty profile that downloads into a folder."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    downloads.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*_FLAGS, f"user-data-dir={profile}"):
            options.add_argument(f"--{flag}")
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            allowed = {"behavior": "allow", "downloadPath": str(downloads)}
            driver.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
            yield driver
        finally:
            driver.quit()


def wait(ready: typing.Callable[[], typing.Any], seconds: float, what: str) -> typing.Any:
    """Wait for a true value of ``ready`` and return it; fail the test after so many seconds."""
    end = time.monotonic() + seconds
    while not (value := ready()):
        assert time.monotonic() < end, f"waited {seconds} seconds for {what}"
        time.sleep(0.1)
    return value


class Visitor:
    """A visitor of the page."""

    def __init__(self, driver: typing.Any, address: str):
        self.driver, self._seen = driver, []
        driver.get_log("performance")  # of the browser's own first page
        driver.get(address)
        wait(lambda: self.find("#go"), 60, "the page")

    def find(self, selector: str) -> typing.Any:
        """The first visible element of a CSS selector; None if there is none."""
        return next((e for e in self.driver.find_elements("css selector", selector) if e.is_displayed()), None)

    def text(self, selector: str) -> str:
        """The texts of all elements of a selector, read at once because the page may change between two requests."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText).join(' ')"
        return self.driver.execute_script(script, selector)

    def press(self, selector: str) -> None:
        """Click an element as soon as it is present and enabled."""
        element = wait(lambda: (e := self.find(selector)) and e.is_enabled() and e, 20, selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def choose(self, selector: str, text: str) -> None:
        """Click the label with a text below a selector."""
        labels = self.driver.find_elements("css selector", f"{selector} label")
        label = next(label for label in labels if text in label.text)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", label)
        label.click()

    def drag(self, element: typing.Any, pixels: int) -> None:
        """Drag the mouse to the right from the middle of an element."""
        from selenium.webdriver import ActionChains

        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        ActionChains(self.driver).drag_and_drop_by_offset(element, pixels, 0).perform()

    def tap(self, element: typing.Any, right: int, down: int) -> None:
        """Click so many pixels from the middle of an element."""
        from selenium.webdriver import ActionChains

        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        ActionChains(self.driver).move_to_element_with_offset(element, right, down).click().perform()

    def upload(self, path: pathlib.Path, selector: str = "#file") -> None:
        """Upload a file to the input below a selector."""
        self.driver.find_element("css selector", f"{selector} input[type=file]").send_keys(str(path))

    def restore(self, seconds: float = 120) -> str:
        """Press the button and return the message at the end of the run, which must differ from the previous one."""
        before = self.text("#message .message")
        self.press("#go")
        return wait(lambda: (now := self.text("#message .message")) != before and now, seconds, "the run to end")

    def says(self, selector: str, text: str, seconds: float = 30) -> None:
        """Wait until the page shows a text."""
        wait(lambda: text in self.text(selector), seconds, f"{selector} to say {text!r}")

    def asked(self) -> list[str]:
        """Addresses that the page requested, without the browser's own requests."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                parameters = message["params"]
                self._seen.append(parameters.get("request", parameters)["url"])
        return [url for url in self._seen if not url.startswith(("data:", "blob:", "chrome"))]
