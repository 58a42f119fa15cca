"""A first look: a compact DAN ×4 learns from the 13 packaged photographs.

python -m blindsr_jax.main --config configs/quickstart.py --workdir runs/quickstart
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dan_lite", scale=4)
    config.steps = 1_000
    config.data.batch_size = 16
    config.data.patch = 32
    config.degradation.sigma = (1.0, 4.0)
    config.optimizer.learning_rate = config.optimizer.estimator_learning_rate = 2e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup = 50
    config.optimizer.clip_norm = 1.0
    config.optimizer.ema_decay = 0.99
    config.checkpoint.every = 500
    config.validation.every = 500
    config.validation.widths = 2
    config.validation.crop = 384
    config.log_every = 50
    return config
