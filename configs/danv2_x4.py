"""DANv2 ×4, setting 1: round Gaussian kernels; the paper's recipe.

  python -m blindsr_jax.main --config configs/danv2_x4.py --workdir runs/danv2_x4

Time:  COST
Score: published, gaussian8: Set5 32.00 / 0.8885, Set14 28.50 / 0.7715, BSD100 27.56 / 0.7277
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("danv2", scale=4)
    config.data.source = "div2k"
    return config
