"""A narrow KernelNet ×4 for CPUs, on the packaged photographs or any folder of yours; estimates kernels only:

  python -m blindsr_jax.main --config configs/kernelnet_lite_x4.py --workdir runs/kernelnet_lite_x4 \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  about 4 minutes on 2 CPU cores
Score: mean kernel ℓ1 of 128 trials, held-out kernels on central 256×256 LR crops of held-out photographs, in a trial of
       this recipe outside this command: refined 0.205, coarse 0.382, fixed Gaussian 0.309; the command itself has not
       been run to the end yet
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("kernelnet", scale=4)
    config.steps = 1350
    config.model.gradient_steps = 150
    config.model.width = 16
    config.data.batch_size = 8
    config.data.patch = 96
    config.optimizer.learning_rate = 2e-3
    config.optimizer.refinement_learning_rate = 5e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup = 50
    config.optimizer.clip_norm = 1.0
    config.checkpoint.every = 250
    config.validation.every = 500
    config.validation.widths = 4
    config.validation.crop = 768
    return config
