"""The picture of the page in the README: ``python -m tests.demo.screenshot docs/demo.jpg --model NAME_OR_FILE``.

A packaged photograph is blurred and shrunk, then restored by the first model of the page; takes a minute or two.
"""

import argparse
import io
import pathlib
import sys
import tempfile

from PIL import Image

from tests.demo import browsing


def main() -> None:
    arguments = argparse.ArgumentParser(description="Takes the README's picture of the demo's page.")
    arguments.add_argument("output", type=pathlib.Path)
    arguments.add_argument("--model", nargs="+", default=[])
    arguments.add_argument("--photo", type=int, default=0, help="which packaged photograph; default: 0")
    options = arguments.parse_args()
    if browsing.missing():
        sys.exit(browsing.missing())
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        models = ["--model", *options.model] if options.model else []
        with browsing.page(root, *models) as address, browsing.browser(root / "downloads") as driver:
            visitor = browsing.Visitor(driver, address)
            browsing.wait(lambda: visitor.find("#ours button"), 30, "the photographs")
            driver.find_elements("css selector", "#ours button")[options.photo].click()
            visitor.says("#picture-message", "pixels")
            print(visitor.restore(seconds=600))
            loaded = "return [...document.querySelectorAll('#compared img')].every(e => e.complete)"
            browsing.wait(lambda: driver.execute_script(loaded), 30, "the result")
            driver.execute_script("window.scrollTo(0, 0)")
            picture = Image.open(io.BytesIO(driver.get_screenshot_as_png()))
    picture.convert("RGB").save(options.output, quality=88)


if __name__ == "__main__":
    main()
