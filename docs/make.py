"""Makes the pages, tables and pictures that follow from the packaged weights; for those who maintain the project.

  python docs/make.py everything --sets SETS --work WORK   # all of the below that follows from the weights
  python docs/make.py add RUN NAME --hardware "two cores of ..." --time "80 minutes" --images "111 photographs"
  python docs/make.py scores --sets SETS --work WORK       # SETS holds Set5, Set14, BSD100 and DIV2KRK
  python docs/make.py pages                                # docs/weights.md, and the table of README.md
  python docs/make.py api                                  # docs/api.md, from the docstrings
  python docs/make.py pictures                             # of README.md and docs
  python docs/make.py screenshot                           # of blindsr demo; wants chromium and chromedriver

``scores`` evaluates each packaged model and writes the result into its file; what stands in WORK is not done again.
Weights that ``add`` replaces lose their scores.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import re
import shutil
import subprocess
import sys
import typing

from PIL import Image

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from api_page import api_page  # noqa: E402

from blindsr_jax.cli import main as blindsr  # noqa: E402
from blindsr_jax.evaluation.cards import cards, headline_table  # noqa: E402
from blindsr_jax.evaluation.panel import unfolding_panel  # noqa: E402
from blindsr_jax.evaluation.protocols import gaussian8  # noqa: E402
from blindsr_jax.evaluation.samples import synthetic_sample  # noqa: E402
from blindsr_jax.files import atomic_path, write_text  # noqa: E402
from blindsr_jax.images.reading import read_rgb  # noqa: E402
from blindsr_jax.inference.loading import bundle_named, load  # noqa: E402
from blindsr_jax.inference.restore import enlarge_bicubic  # noqa: E402
from blindsr_jax.metrics import psnr  # noqa: E402
from blindsr_jax.pictures import grid  # noqa: E402
from blindsr_jax.weights.bundle import load_bundle, save_bundle  # noqa: E402
from blindsr_jax.weights.zoo import PACKAGED, models  # noqa: E402

_SCALE = re.compile(r"-x(\d)$")


def add(arguments: argparse.Namespace) -> None:
    """A run's bundle, as a packaged model with the facts that a run does not know of itself."""
    bundle = bundle_named(arguments.source)
    training = {"hardware": arguments.hardware, "time": arguments.time, "images": arguments.images}
    metadata = bundle.metadata | {"training": training}
    save_bundle(PACKAGED / f"{arguments.name}.safetensors", dataclasses.replace(bundle, metadata=metadata))


class _Test(typing.NamedTuple):
    """An evaluation of a packaged model: what is scored, and the arguments of ``blindsr evaluate`` that say how."""

    model: str
    protocol: str
    folder: pathlib.Path
    options: tuple[str, ...] = ()


def scores(arguments: argparse.Namespace) -> None:
    """Evaluates packaged models and writes the results into their files, beside those on other folders."""
    for name in arguments.names or models():
        tests = _tests(name, arguments.sets, arguments.work, arguments.folders)
        new = [_evaluated(test, arguments.work / name) for test in tests]
        path = PACKAGED / f"{name}.safetensors"
        bundle = load_bundle(path)
        all_of_them = {_scored(entry): entry for entry in [*bundle.metadata.get("evaluations", []), *new]}.values()
        entries = sorted(all_of_them, key=lambda entry: (entry["protocol"], entry["scale"]))
        named = [e for e in entries if e["data"] in ("Set5", "DIV2KRK")]  # what fits into one line
        short = {f"{e['protocol']} ×{e['scale']} {e['data']}": e["psnr_y"] for e in named}
        save_bundle(
            path, dataclasses.replace(bundle, metadata=bundle.metadata | {"scores": short, "evaluations": entries})
        )


def _scored(entry: dict[str, typing.Any]) -> tuple[typing.Any, ...]:
    """Return the fields that identify an evaluation."""
    return tuple(entry[key] for key in ("model", "protocol", "scale", "data"))


def _tests(name: str, sets: pathlib.Path, work: pathlib.Path, names: list[str]) -> typing.Iterator[_Test]:
    """How a model is scored."""
    folders = [sets / folder for folder in names]
    if not name.startswith("dan-"):
        yield from _tests_of_solvers(name, folders, work)
        return
    both = ("--kernel", "estimated", "true")
    if "aniso" in name:
        yield _Test(name, "div2krk", next(sets.glob("DIV2KRK*")), both)
    for protocol in ["gaussian8", "gaussian8_noise15"] if "noise" in name else ["gaussian8"]:
        for folder in folders:  # the true kernel doubles the time
            yield _Test(name, protocol, folder, both[:2] if folder.name == "BSD100" and name != "dan-lite-x4" else both)


def _tests_of_solvers(name: str, folders: list[pathlib.Path], work: pathlib.Path) -> typing.Iterator[_Test]:
    """Of KernelNet with USRNet, and of USRNet with the true kernel: one held-out kernel of our pool for each image."""
    for scale in (2, 4):
        if name not in (f"kernelnet-x{scale}", f"kernelnet-shaken-x{scale}", "usrnet-tiny"):
            continue
        held_out = work / f"held_out_x{scale}.npy"
        if not held_out.exists():
            made = ["--scale", str(scale), "-o", str(work / f"train_x{scale}.npy"), "--test", str(held_out)]
            blindsr(["kernels", "build", *made])
        options = ("--scale", str(scale), "--kernels", str(held_out), "--one-kernel-per-image")
        if name == "usrnet-tiny":
            model, options = name, (*options, "--kernel", "true")
        else:  # a little noise makes the solver forgive an estimate: docs/kernel_estimation.md
            model, options = f"{name}+usrnet-tiny", (*options, "--kernel", "estimated", "true")
            options = (*options, "--sigma", {2: "2.55", 4: "5"}[scale])
        yield from (_Test(model, "s_fold_circular", folder, options) for folder in folders)
        if "shaken" in name:
            options = ("--scale", str(scale), *options[-5:])
            small = [folder for folder in folders if folder.name == "Set5"]
            yield from (_Test(model, "shaken8_circular", folder, options) for folder in small)


def _evaluated(test: _Test, work: pathlib.Path) -> dict[str, typing.Any]:
    """Run one evaluation and return its entry on a card."""
    out = work / "-".join([test.protocol, *test.options[:2], test.folder.name]).replace("--", "")
    command = ["evaluate", "--model", test.model, "--protocol", test.protocol, "--data", str(test.folder)]
    if blindsr([*command, *test.options, "-o", str(out)]):
        raise SystemExit(f"{test.model}: {test.protocol} on {test.folder.name} could not be evaluated")
    report = json.loads((out / "report.json").read_text())
    kept = ("protocol", "scale", "data", "images", "psnr_y", "ssim_y", "bicubic_psnr_y", "bicubic_ssim_y")
    entry = {key: report[key] for key in kept} | {"model": test.model}
    if report["products"] != "float32":  # the cards say it
        entry["products"] = report["products"]
    true = report.get("methods", {}).get("true kernel", report if "true" in test.options else {})
    entry["true_kernel_psnr_y"] = true.get("psnr_y")
    if test.protocol == "div2krk":
        entry |= {"data": "DIV2KRK", "partial": report["images"] < 100}
    return entry


def pages(arguments: argparse.Namespace) -> None:
    """The page of cards, and the table of the README."""
    write_text(ROOT / "docs" / "weights.md", cards())
    readme = ROOT / "README.md"
    write_text(readme, with_scores(readme.read_text(encoding="utf-8")))


def api(arguments: argparse.Namespace) -> None:
    """The page of public names, from their docstrings."""
    write_text(ROOT / "docs" / "api.md", api_page())


def with_scores(text: str) -> str:
    """A README with the table of four scores between its marks."""
    table = "\n".join(headline_table())
    return re.sub(r"(<!-- scores -->\n).*?(<!-- end -->)", lambda m: m[1] + table + "\n" + m[2], text, flags=re.DOTALL)


def pictures(arguments: argparse.Namespace) -> None:
    """Draw packaged photographs, not trained on, as packaged models restore them."""
    photos = ROOT / "blindsr_jax" / "data" / "sample" / "validation"
    model, protocol = load("dan-lite-x4"), gaussian8(4)
    rows = []
    for path in sorted(photos.glob("*.jpg")):
        sample = synthetic_sample(path.stem, read_rgb(path), protocol, protocol.cases[4], 320)
        bicubic, restored = enlarge_bicubic(sample.lr, 4), model.restore(sample.lr)
        scored = [("bicubic", bicubic), ("dan-lite-x4", restored)]
        rows += [(f"{name}: {psnr(image, sample.hr, 4):.2f} dB", Image.fromarray(image)) for name, image in scored]
        rows.append(("the sharp original", Image.fromarray(sample.hr)))
    _save(grid(rows, (320, 320)), "restored.jpg")
    hr = read_rgb(photos / "city24.jpg")
    _save(unfolding_panel(model, synthetic_sample("city24", hr, protocol, protocol.cases[4], 320)), "unfolding.jpg")
    if arguments.work:
        steps = arguments.work / "sweep"
        options = ["--data", str(arguments.sets / "Set5"), "--sweep", "7", "-o", str(steps)]
        if blindsr(["evaluate", "--model", "dan-lite-x4", *options]):
            raise SystemExit("the sweep over unfolded steps could not be made")
        shutil.copy(steps / "steps.png", ROOT / "docs" / "steps.png")


def screenshot(arguments: argparse.Namespace) -> None:
    """The page of ``blindsr demo`` after a test, in a browser."""
    subprocess.run([sys.executable, "-m", "tests.demo.screenshot", "docs/demo.jpg"], cwd=ROOT, check=True)


def everything(arguments: argparse.Namespace) -> None:
    """Scores of all packaged models, where there are test sets; the pages; the pictures."""
    for made in (scores, pages, api, pictures, screenshot) if arguments.sets else (pages, api, pictures, screenshot):
        made(arguments)


def _save(picture: Image.Image, name: str) -> None:
    with atomic_path(ROOT / "docs" / name) as temporary:
        picture.save(temporary, quality=90)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for run in (everything, add, scores, pages, api, pictures, screenshot):
        command = commands.add_parser(run.__name__, help=run.__doc__)
        command.set_defaults(run=run)
        if run is add:
            command.add_argument("source", help="workdir of a run, or a bundle")
            command.add_argument("name")
            for fact in ("hardware", "time", "images"):
                command.add_argument(f"--{fact}", required=True)
        if run in (scores, everything):
            command.add_argument("names", nargs="*")
            command.add_argument("--folders", nargs="+", default=["Set5", "Set14", "BSD100"])
        if run in (scores, pictures, everything):
            command.add_argument("--sets", type=pathlib.Path, required=run is scores)
            command.add_argument("--work", type=pathlib.Path, required=run is scores)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
