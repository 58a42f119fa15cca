"""The panel of a validation image: what each unfolded step made of it, beside the truth."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from PIL import Image

from blindsr_jax.evaluation.protocols import Case, Protocol
from blindsr_jax.evaluation.run import make_lr, prepare_hr
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.pictures import panel
from blindsr_jax.inference.restore import enlarge_bicubic, from_unit
from blindsr_jax.metrics import kernel_l1, psnr


def unfolding_panel(model: Model, hr: np.ndarray, protocol: Protocol, case: Case, crop: int = 256) -> Image.Image:
    """LR enlarged, bicubic, every unfolded step, truth; the true kernel and the estimated ones, with their scores.

    Args:
      model: an unfolded model.
      hr: uint8 [H, W, 3].
      protocol, case: how the LR image is made.
      crop: the central so many HR pixels are used.
    """
    hr = prepare_hr(hr, protocol.scale, crop)
    lr = make_lr(hr, protocol, case)
    trace = model(jnp.asarray(lr, jnp.float32)[None] / 255, trace=True).trace
    has_kernels = trace.kernel is not None
    steps, kernels = [], [(f"true kernel, width {case.sigma:.2f}", case.kernel)] if has_kernels else []
    for t in range(trace.sr.shape[0]):
        image = from_unit(np.asarray(trace.sr[t, 0]), np.dtype(np.uint8))
        steps.append((f"step {t + 1}: {psnr(image, hr, protocol.border):.2f} dB", image))
        if has_kernels:
            kernel = np.asarray(trace.kernel[t, 0])
            kernels.append((f"kernel {t + 1}: L1 {kernel_l1(kernel, case.kernel):.2f}", kernel))
    bicubic = enlarge_bicubic(lr, protocol.scale)
    caption = f"bicubic: {psnr(bicubic, hr, protocol.border):.2f} dB"
    return panel(lr, (caption, bicubic), steps, hr, kernels)
