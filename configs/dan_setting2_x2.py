"""DANv1 ×2, setting 2: rotated Gaussian kernels with multiplicative noise; the paper's recipe.

  python -m blindsr_jax.main --config configs/dan_setting2_x2.py --workdir runs/dan_setting2_x2

Time:  0.84 s a step on 2 CPU cores at --config.data.batch_size=4 --config.data.patch=32 (Python 3.12),
       which is 1/64 of this batch: a CPU can only try it; GPU: not measured
Score: published, DIV2KRK: 32.56 / 0.8997
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.setting2(config_lib.default("danv1", scale=2))
    config.data.source = "div2k"
    return config
