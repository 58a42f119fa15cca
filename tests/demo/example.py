"""The finished example of the page: ``python -m tests.demo.example``. Run it anew when the default model changes.

A part of a packaged photograph is blurred, made noisy and shrunk, and then restored by the default model.
"""

import pathlib

import numpy as np
from PIL import Image

import blindsr_jax.demo
from blindsr_jax.demo import handmade_kernels, synthetic_test, uploads
from blindsr_jax.inference.loading import load
from blindsr_jax.metrics import psnr
from blindsr_jax.weights.zoo import default_model

FOLDER = pathlib.Path(blindsr_jax.demo.__file__).parent / "example"
_NAME, _PART = "city24", (slice(96, 624), slice(380, 1148))
_WIDTH, _NOISE = 1.8, 4.0


def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The interpolated, the restored and the true picture, uint8 [H, W, 3]."""
    path = next(path for path in uploads.samples() if path.stem == _NAME)
    model = load(default_model())
    part = uploads.Picture(_NAME, uploads.read_upload(str(path)).picture.pixels[_PART])
    kernel = handmade_kernels.gaussian(_WIDTH, _WIDTH, 0, model.kernel_size)
    test = synthetic_test.blur_and_shrink(part, kernel, scale=model.scale, noise=_NOISE, downsample=model.downsample)
    before = synthetic_test.interpolated(test.lr, model.scale, model.downsample)
    return before, model.restore(test.lr), test.hr


def main() -> None:
    before, after, truth = made()
    FOLDER.mkdir(exist_ok=True)
    for name, image in (("before", before), ("after", after)):
        Image.fromarray(image).save(FOLDER / f"{name}.jpg", quality=88)
        print(f"{name}: {psnr(image, truth, 4):.2f} dB, {(FOLDER / f'{name}.jpg').stat().st_size} bytes")


if __name__ == "__main__":
    main()
