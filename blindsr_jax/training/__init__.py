"""Training: state, optimiser, compiled step, checkpoints, and the loop around them.

The names below are for a loop of one's own (docs/your_own_loop.md); ``python -m blindsr_jax.main`` has the project's.
"""

from blindsr_jax.lazy import attach

__getattr__, __all__ = attach(
    __name__,
    {
        "Stage": "blindsr_jax.training.step",
        "TrainState": "blindsr_jax.training.state",
        "create_state": "blindsr_jax.training.state",
        "data_mesh": "blindsr_jax.training.sharding",
        "initial_state": "blindsr_jax.training.state",
        "learning_rate_schedule": "blindsr_jax.training.optimizer",
        "make_optimizer": "blindsr_jax.training.optimizer",
        "make_train_step": "blindsr_jax.training.step",
        "put_batch": "blindsr_jax.training.sharding",
        "replicated": "blindsr_jax.training.sharding",
        "restarting_schedule": "blindsr_jax.training.optimizer",
        "supervised_loss": "blindsr_jax.training.step",
        "use_all_cores": "blindsr_jax.training.sharding",
    },
    needs="train",
)


def __dir__() -> list[str]:
    return __all__
