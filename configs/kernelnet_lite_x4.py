"""A narrower KernelNet ×4 for CPUs, on the packaged photographs or any folder of yours; estimates kernels only:

  python -m blindsr_jax.main --config configs/kernelnet_lite_x4.py --workdir runs/kernelnet_lite_x4 \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  not measured yet; meant for about 45 minutes on 2 CPU cores
Score: not measured yet
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("kernelnet", scale=4)
    config.steps = 3_000
    config.model.gradient_steps = 1_000
    config.model.width = 32
    config.data.batch_size = 8
    config.data.patch = 96
    config.optimizer.learning_rate = 1e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup = 100  # also eases the change of stages, where Adam remembers other gradients
    config.optimizer.clip_norm = 1.0
    config.optimizer.ema_decay = 0.999
    config.checkpoint.every = 250
    config.validation.every = 500
    config.validation.widths = 4
    config.validation.crop = 768
    return config
