"""A narrow KernelNet ×2 for CPUs, on the packaged photographs or your folder; estimates kernels only:

  python -m blindsr_jax.main --config configs/kernelnet_lite_x2.py --workdir runs/kernelnet_lite_x2 \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  35 minutes on 2 CPU cores with other work beside it (24 of processor time; Python 3.12), on 111 photographs
Score: mean kernel ℓ1 over 8 held-out kernels on 16 held-out photographs, whole: 0.180; fixed Gaussian 0.300
       (the coarse kernel alone 0.362, which the loss ignores). Packaged as kernelnet-x2
       2650 steps at 16 channels: 0.187, in 6 minutes
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("kernelnet", scale=2)
    config.steps = 6000
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
