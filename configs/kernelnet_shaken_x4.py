"""``kernelnet_lite_x4`` for shaken photographs, and for such out of focus:

  python -m blindsr_jax.main --config configs/kernelnet_shaken_x4.py --workdir runs/kernelnet_shaken_x4 \
      --config.data.source=folder --config.data.root=PHOTOS

Half of the kernels are paths of a shaken camera in focus, discs, and sums of both. It starts from kernelnet-x4.

Time:  38 minutes of one CPU core with other work beside it (Python 3.12), on 186 photographs
Score: mean kernel ℓ1 over 8 held-out kernels of that pool on 13 held-out photographs, whole: 0.375; fixed Gaussian
       0.634 (the coarse kernel alone 0.531, which the loss ignores). Packaged as kernelnet-shaken-x4
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("kernelnet", scale=4)
    config.start_from = "kernelnet-x4"
    config.degradation.pool = "shaken"
    config.steps = 1700
    config.model.gradient_steps = 150
    config.model.width = 32
    config.data.batch_size = 8
    config.data.patch = 96
    config.optimizer.learning_rate = 2e-3
    config.optimizer.refinement_learning_rate = 5e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup = 50
    config.optimizer.clip_norm = 1.0
    config.checkpoint.every = 250
    config.validation.every = 2000
    config.validation.widths = 4
    config.validation.crop = 768
    return config
