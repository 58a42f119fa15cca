"""A compact DAN ×4 (0.30 M parameters) for CPUs, setting 1, on the packaged photographs or any folder of yours:

  python -m blindsr_jax.main --config configs/dan_lite_x4.py --workdir runs/dan_lite_x4 \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  about 0.5 s a step on 2 CPU cores (Python 3.12), so about 70 minutes; GPU: not measured
Score: not measured to the end yet
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dan_lite", scale=4)
    config.steps = 8_000
    config.data.batch_size = 16
    config.data.patch = 32
    config.optimizer.learning_rate = config.optimizer.estimator_learning_rate = 1e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.clip_norm = 1.0
    config.optimizer.ema_decay = 0.999
    config.checkpoint.every = 500
    config.validation.every = 1_000
    config.validation.widths = 2
    config.validation.crop = 384
    return config
