"""A run whose steps take milliseconds."""

from blindsr_jax import config as config_lib


def get_config():
    config = config_lib.default("dan_lite", 2)
    config.steps = 20
    config.model.update(features=4, blocks=1, estimator_features=4, estimator_blocks=1, iterations=2, code_length=4)
    config.model.skip, config.optimizer.schedule = "nearest", "halve"
    config.degradation.kernel_size = 11
    config.data.update(batch_size=4, patch=16, workers=1)
    config.optimizer.update(learning_rate=1e-3, estimator_learning_rate=1e-3, clip_norm=1.0, warmup=2, ema_decay=0.9)
    config.checkpoint.every = 4
    config.validation.update(every=10, crop=64, widths=1)
    config.log_every = 1
    return config
