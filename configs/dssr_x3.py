"""DSSR ×3, setting 1: round Gaussian kernels; the paper's recipe.

  python -m blindsr_jax.main --config configs/dssr_x3.py --workdir runs/dssr_x3

Time:  TODO
Score: published, gaussian8: Set5 34.05 / 0.9197, Set14 30.09 / 0.8270, BSD100 28.98 / 0.7923
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dssr", scale=3)
    config.data.source = "div2k"
    return config
