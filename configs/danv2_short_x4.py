"""A short DANv2 ×4, setting 1, for some twenty-five minutes of one large GPU; untried on one.

  timeout --preserve-status 530 python -m blindsr_jax.main --config configs/danv2_short_x4.py \
      --workdir runs/danv2_short_x4 --config.data.source=folder --config.data.root=PHOTOS

After 530 seconds that command saves and stops with exit code 75. The same command goes on, exactly. The last one writes
``model.safetensors``; if time ends before the steps do, ``--mode evaluate`` writes it from the best checkpoint.
``python docs/make.py add runs/danv2_short_x4 danv2-short-x4 --hardware … --time … --images …`` packages it.

It has 16 of DANv2's 50 blocks, so that more updates fit, and Muon, which keeps one moment of a convolution's kernel
where Adam keeps two. So the whole state of a run is below 16 MB (a test) and can be carried from machine to machine;
the arrays of ``danv2_x4`` have 56 MB. ``python -m benchmarks.gpu_hour`` measures how many steps 25 minutes hold: give
that number as ``--config.steps``, since the learning rate falls to zero over all steps.

Time:  2.3 s a step of one CPU core (processor time, jax 0.12) at --config.data.batch_size=4 --config.data.patch=32,
       which is 1/18 of this batch: a CPU can only try it; GPU: not measured
Score: not trained yet
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("danv2", scale=4)
    config.model.groups, config.model.blocks = 2, 8
    config.steps = 40_000
    config.precision = "bfloat16"
    config.data.batch_size, config.data.patch = 32, 48
    options = config.optimizer
    options.kind, options.schedule, options.warmup, options.clip_norm = "muon", "cosine", 500, 1.0
    options.learning_rate = options.estimator_learning_rate = 1e-3
    config.checkpoint.keep = 1
    config.validation.widths, config.validation.crop = 2, 384
    return config
