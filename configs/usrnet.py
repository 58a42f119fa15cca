"""USRNet for scales 1 to 4; the paper's sizes, the recipe of its authors' code.

  python -m blindsr_jax.main --config configs/usrnet.py --workdir runs/usrnet

Time:  not measured
Score: not measured
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("usrnet", scale=4)
    config.data.source = "div2k"
    return config
