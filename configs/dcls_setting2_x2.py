"""DCLS ×2, setting 2: rotated Gaussian kernels with multiplicative noise; the authors' recipe, as dcls_x2.

  python -m blindsr_jax.main --config configs/dcls_setting2_x2.py --workdir runs/dcls_setting2_x2

Time:  not measured yet
Score: published, DIV2KRK: 32.75 / 0.9094
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.setting2(config_lib.default("dcls", scale=2))
    config.data.source = "div2k"
    return config
