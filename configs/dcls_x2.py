"""DCLS ×2, setting 1: round Gaussian kernels; the authors' recipe, with warm-up, clipping and rollbacks.

  python -m blindsr_jax.main --config configs/dcls_x2.py --workdir runs/dcls_x2

Time:  not measured yet
Score: not trained to the end yet
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dcls", scale=2)
    config.data.source = "div2k"
    return config
