"""DANv1 ×3, setting 1: round Gaussian kernels; the paper's recipe.

  python -m blindsr_jax.main --config configs/dan_x3.py --workdir runs/dan_x3

Time:  COST
Score: published, gaussian8: Set5 34.04 / 0.9199, Set14 30.09 / 0.8287, BSD100 28.94 / 0.7919
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("danv1", scale=3)
    config.data.source = "div2k"
    return config
