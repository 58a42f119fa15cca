"""DANv2 ×4, setting 1: round Gaussian kernels; the paper's recipe.

  python -m blindsr_jax.main --config configs/danv2_x4.py --workdir runs/danv2_x4

Time:  0.79 s a step on 2 CPU cores at --config.data.batch_size=4 --config.data.patch=32 (Python 3.12),
       which is 1/64 of this batch: a CPU can only try it; GPU: not measured
Score: published, gaussian8: Set5 32.00 / 0.8885, Set14 28.50 / 0.7715, BSD100 27.56 / 0.7277
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("danv2", scale=4)
    config.data.source = "div2k"
    return config
