"""DANv1 ×2, setting 1: round Gaussian kernels; the paper's recipe.

  python -m blindsr_jax.main --config configs/dan_x2.py --workdir runs/dan_x2

Time:  0.84 s a step on 2 CPU cores at --config.data.batch_size=4 --config.data.patch=32 (Python 3.12),
       which is 1/64 of this batch: a CPU can only try it; GPU: not measured
Score: published, gaussian8: Set5 37.34 / 0.9526, Set14 33.08 / 0.9041, BSD100 31.76 / 0.8858
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("danv1", scale=2)
    config.data.source = "div2k"
    return config
