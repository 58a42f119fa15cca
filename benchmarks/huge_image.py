"""The memory of a whole process that restores a huge picture with a compact DAN ×4, as a user would by the command.

python -m benchmarks.huge_image [--sizes 1500x1000 6000x4000] [--output benchmarks/results/NAME.json]

The weights are drawn at random, since memory and time do not depend on them.
"""

from __future__ import annotations

import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np
from PIL import Image

from benchmarks.machine import options, report
from blindsr_jax.networks import build, init_variables
from blindsr_jax.weights.bundle import Bundle, save_bundle

_LITE = {"name": "danv1", "scale": 4, "features": 32, "blocks": 8, "upsampler": "single", "skip": "nearest"}
_LITE |= {"estimator_features": 16, "estimator_blocks": 3}


def _model(path):
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(441, 10)))[0].astype(np.float32)
    variables = init_variables(build(**_LITE), jax.random.key(0, impl="rbg"), basis)
    save_bundle(path, Bundle(jax.tree.map(np.asarray, variables), _LITE))


def _picture(path, width, height):
    """Texture of several sizes, as a JPEG."""
    rng, total = np.random.default_rng(0), np.zeros((height, width, 3), np.float32)
    for size in (8, 64):
        coarse = rng.integers(0, 128, (height // size, width // size, 3), np.uint8)
        total += np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    Image.fromarray(np.uint8(total.clip(0, 255))).save(path, quality=92)


def _measure(folder, size):
    width, height = map(int, size.split("x"))
    picture, result = folder / f"{size}.jpg", folder / f"{size}.png"
    _picture(picture, width, height)
    command = ["restore", picture, "-o", result, "--model", folder / "lite.safetensors"]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "blindsr_jax.cli", *map(str, command)], check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # the largest child so far: sizes go up
    return {
        "restored": f"{4 * width}x{4 * height}",
        "peak_mib": round(used.ru_maxrss / 1024),
        "seconds": round(seconds, 1),
        "file_mib": round(result.stat().st_size / 2**20, 1),
    }


def main():
    command = options(__doc__, repeats=1)
    command.add_argument(
        "--sizes", nargs="+", default=["1500x1000", "6000x4000"], help="of LR pictures, small to large"
    )
    arguments = command.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        _model(folder / "lite.safetensors")
        cases = {size: _measure(folder, size) for size in arguments.sizes}
    report({"model": "compact DAN ×4, tiles by default", "cases": cases}, arguments.output)


if __name__ == "__main__":
    main()
