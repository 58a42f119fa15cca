"""DANv1 ×3, setting 2: rotated Gaussian kernels with multiplicative noise; the paper's recipe.

  python -m blindsr_jax.main --config configs/dan_setting2_x3.py --workdir runs/dan_setting2_x3

Time:  0.92 s a step on 2 CPU cores at --config.data.batch_size=4 --config.data.patch=32 (Python 3.12),
       which is 1/64 of this batch: a CPU can only try it; GPU: not measured
Score: none published: the papers have no setting 2 at ×3; the 21×21 kernel is our choice between their 11 and 31
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.setting2(config_lib.default("danv1", scale=3))
    config.data.source = "div2k"
    return config
