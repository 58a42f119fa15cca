"""DCLS ×4, setting 1: round Gaussian kernels; the authors' recipe, with warm-up, clipping and rollbacks.

  python -m blindsr_jax.main --config configs/dcls_x4.py --workdir runs/dcls_x4

Time:  not measured yet
Score: published, gaussian8: Set5 32.12 / 0.8890, Set14 28.54 / 0.7728, BSD100 27.60 / 0.7285
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dcls", scale=4)
    config.data.source = "div2k"
    return config
