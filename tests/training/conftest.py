import pytest

from blindsr_jax import config as config_lib


def tiny_config(**overrides):
    """A run that takes seconds: a very small network on small patches of the packaged photographs."""
    config = config_lib.default("dan_lite", 2)
    config.steps = 6
    config.model.update(features=4, blocks=1, estimator_features=4, estimator_blocks=1, iterations=2)
    config.model.code_length = 4
    config.model.skip, config.optimizer.schedule, config.optimizer.ema_decay = "nearest", "halve", 0.0
    config.degradation.kernel_size = 11
    config.data.update(batch_size=4, patch=16)
    config.optimizer.update(learning_rate=1e-3, estimator_learning_rate=1e-3, clip_norm=1.0, warmup=2)
    config.checkpoint.every = 3
    config.validation.update(every=3, images=1, crop=64, widths=1)
    config.log_every = 2
    config.update_from_flattened_dict(overrides)
    config_lib.validate(config)
    return config


@pytest.fixture
def config():
    return tiny_config()
