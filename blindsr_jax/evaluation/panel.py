"""The panel of a trial: what each unfolded step made of it, beside the truth."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from PIL import Image

from blindsr_jax.evaluation.trials import Trial
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.pictures import panel
from blindsr_jax.inference.restore import enlarge_bicubic, from_unit
from blindsr_jax.metrics import kernel_l1, psnr


def unfolding_panel(model: Model, trial: Trial) -> Image.Image:
    """LR enlarged, bicubic, every unfolded step, truth; the true kernel and the estimated ones, with their scores.

    Args:
      model: an unfolded model.
      trial: a small one: its images are shown in full.
    """
    trace = model(jnp.asarray(trial.lr, jnp.float32)[None] / 255, trace=True).trace
    has_kernels = trace.kernel is not None and trial.kernel is not None
    steps, kernels = [], [(f"true kernel, {trial.case}", trial.kernel)] if has_kernels else []
    for t in range(trace.sr.shape[0]):
        image = from_unit(np.asarray(trace.sr[t, 0]), np.dtype(np.uint8))
        steps.append((f"step {t + 1}: {psnr(image, trial.hr, model.scale):.2f} dB", image))
        if has_kernels:
            kernel = np.asarray(trace.kernel[t, 0])
            kernels.append((f"kernel {t + 1}: L1 {kernel_l1(kernel, trial.kernel):.2f}", kernel))
    bicubic = enlarge_bicubic(trial.lr, model.scale)
    caption = f"bicubic: {psnr(bicubic, trial.hr, model.scale):.2f} dB"
    return panel(trial.lr, (caption, bicubic), steps, trial.hr, kernels)
