"""RealDAN ×4 with residual blocks, on its own degradation of photographs; the authors' recipe before their GAN stage.

  python -m blindsr_jax.main --config configs/realdan_x4.py --workdir runs/realdan_x4

--config.model.body=rrdb --config.model.estimator_size=large makes the larger network, of RRDBs.

Time:  not measured yet
Score: not measured yet; ours has not been trained
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("realdan", scale=4)
    config.data.source = "div2k"
    return config
