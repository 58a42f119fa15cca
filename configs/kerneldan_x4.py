"""KernelDAN ×4: rotated Gaussian kernels with noise, like those of DIV2KRK; the authors' recipe.

  python -m blindsr_jax.main --config configs/kerneldan_x4.py --workdir runs/kerneldan_x4

The authors train on DIV2K and Flickr2K. There is no pool of 256 degraded samples, since each
patch is degraded by itself.

Time:  not measured yet
Score: not measured yet; ours has not been trained
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("kerneldan", scale=4)
    config.data.source = "div2k"
    return config
