"""DANv1 ×3, setting 1: round Gaussian kernels; the paper's recipe.

  python -m blindsr_jax.main --config configs/dan_x3.py --workdir runs/dan_x3

Time:  0.92 s a step on 2 CPU cores at --config.data.batch_size=4 --config.data.patch=32 (Python 3.12),
       which is 1/64 of this batch: a CPU can only try it; GPU: not measured
Score: published, gaussian8: Set5 34.04 / 0.9199, Set14 30.09 / 0.8287, BSD100 28.94 / 0.7919
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("danv1", scale=3)
    config.data.source = "div2k"
    return config
