"""The published small USRNet for CPUs, on the packaged photographs or any folder of yours.

  python -m blindsr_jax.main --config configs/usrnet_tiny.py --workdir runs/usrnet_tiny \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  not measured
Score: not measured
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("usrnet", scale=4)
    config.steps = 800
    config.model.iterations = 6
    config.model.hyper_features = 32
    config.model.features = (16, 32, 64, 64)
    config.data.batch_size = 8
    config.data.patch = 12
    config.optimizer.learning_rate = 2e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup = 50
    config.optimizer.clip_norm = 1.0
    config.optimizer.ema_decay = 0.99
    config.checkpoint.every = 100
    config.validation.every = 200
    config.validation.widths = 2
    config.validation.crop = 384
    return config
