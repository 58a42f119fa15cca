import jax
import numpy as np
import pytest

from blindsr_jax import config as config_lib
from blindsr_jax.training import loop, setup
from blindsr_jax.training.sharding import replicated


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


@pytest.fixture(scope="module", autouse=True)
def shared_updates():
    """Runs of the same network and updates share the traced update and the drawn first state.

    The runs of ``tests/test_main.py`` and ``tests/multihost`` share none.
    """
    updates, states = {}, {}

    def key_of(config, mesh):
        others = ("data", "validation", "checkpoint", "log_every", "on_divergence", "max_bad_steps", "skip_batches")
        others += ("rollbacks", "max_rise", "rise_steps")
        return str({name: value for name, value in config.to_dict().items() if name not in others}), mesh

    def updates_of(config, mesh):
        key = key_of(config, mesh)
        if key not in updates:
            updates[key] = setup.updates_of(config, mesh)
        return updates[key]

    def state_of(config, mesh):
        key = key_of(config, mesh)
        if key not in states:
            states[key] = jax.device_get(setup.state_of(config, mesh))
        return jax.device_put(jax.tree.map(np.copy, states[key]), replicated(mesh))  # a step donates its state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "updates_of", updates_of)
        patch.setattr(loop, "state_of", state_of)
        yield
