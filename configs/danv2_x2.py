"""DANv2 ×2, setting 1: round Gaussian kernels; the paper's recipe.

  python -m blindsr_jax.main --config configs/danv2_x2.py --workdir runs/danv2_x2

Time:  0.65 s a step on 2 CPU cores at --config.data.batch_size=4 --config.data.patch=32 (Python 3.12),
       which is 1/64 of this batch: a CPU can only try it; GPU: not measured
Score: published, gaussian8: Set5 37.60 / 0.9544, Set14 33.44 / 0.9094, BSD100 32.00 / 0.8904
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("danv2", scale=2)
    config.data.source = "div2k"
    return config
