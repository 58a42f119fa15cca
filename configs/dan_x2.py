"""DANv1 ×2, setting 1: round Gaussian kernels; the paper's recipe.

  python -m blindsr_jax.main --config configs/dan_x2.py --workdir runs/dan_x2

Time:  COST
Score: published, gaussian8: Set5 37.34 / 0.9526, Set14 33.08 / 0.9041, BSD100 31.76 / 0.8858
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("danv1", scale=2)
    config.data.source = "div2k"
    return config
