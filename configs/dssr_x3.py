"""DSSR ×3, setting 1: round Gaussian kernels; the paper's recipe.

  python -m blindsr_jax.main --config configs/dssr_x3.py --workdir runs/dssr_x3

Time:  6.9 s a step on 2 CPU cores at --config.data.batch_size=4 --config.data.patch=32 (Python 3.12), which is 1/8 of
       this batch: a CPU can only try it; GPU: not measured
Score: published, gaussian8: Set5 34.05 / 0.9197, Set14 30.09 / 0.8270, BSD100 28.98 / 0.7923
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dssr", scale=3)
    config.data.source = "div2k"
    return config
