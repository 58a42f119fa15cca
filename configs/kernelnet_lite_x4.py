"""A narrow KernelNet ×4 for CPUs, on the packaged photographs or your folder; estimates kernels only:

  python -m blindsr_jax.main --config configs/kernelnet_lite_x4.py --workdir runs/kernelnet_lite_x4 \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  under an hour on 2 CPU cores with other work beside it (26 minutes of processor time; Python 3.12), on 111
       photographs
Score: mean kernel ℓ1 over 8 held-out kernels on 16 held-out photographs, whole: 0.159; fixed Gaussian 0.294
       (the coarse kernel alone 0.434, which the loss ignores). Packaged as kernelnet-x4
       (its first 847 steps with the learning rates of a run of 4500)
       1350 steps at 16 channels: 0.187, in 11 minutes
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("kernelnet", scale=4)
    config.steps = 3000
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
    config.validation.every = 1500
    config.validation.widths = 4
    config.validation.crop = 768
    return config
