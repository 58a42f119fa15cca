"""DSSR ×2, setting 1: round Gaussian kernels; the paper's recipe.

  python -m blindsr_jax.main --config configs/dssr_x2.py --workdir runs/dssr_x2

Time:  6.1 s a step on 2 CPU cores, other work beside it, at --config.data.batch_size=4 --config.data.patch=32
       (Python 3.12), which is 1/8 of this batch: a CPU can only try it; GPU: not measured
Score: published, gaussian8: Set5 37.46 / 0.9529, Set14 33.17 / 0.9044, BSD100 31.95 / 0.8901
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dssr", scale=2)
    config.data.source = "div2k"
    return config
