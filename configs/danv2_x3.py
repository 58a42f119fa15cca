"""DANv2 ×3, setting 1: round Gaussian kernels; the paper's recipe.

  python -m blindsr_jax.main --config configs/danv2_x3.py --workdir runs/danv2_x3

Time:  0.71 s a step on 2 CPU cores at --config.data.batch_size=4 --config.data.patch=32 (Python 3.12),
       which is 1/64 of this batch: a CPU can only try it; GPU: not measured
Score: published, gaussian8: Set5 34.19 / 0.9209, Set14 30.20 / 0.8309, BSD100 29.03 / 0.7948
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("danv2", scale=3)
    config.data.source = "div2k"
    return config
