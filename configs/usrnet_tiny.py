"""The authors' small USRNet for scales 1 to 4 on CPUs, validated at ×4; on the packaged photographs or your folder:

  python -m blindsr_jax.main --config configs/usrnet_tiny.py --workdir runs/usrnet_tiny \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  18 minutes on 2 CPU cores with other work beside it (Python 3.12), on 111 photographs; 4 of them the evaluation
Score: PSNR on luma, 8 held-out kernels on the three packaged validation photographs, no noise, true kernel:
       ×4 25.41 dB, +1.99 dB against bicubic. On their central 384×384 pixels, bicubic / this / the authors' weights:
       ×4 21.89 / 23.75 / 24.69; with 4 of the kernels ×3 22.57 / 24.39 / 25.87, ×2 22.86 / 25.15 / 27.68
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("usrnet", scale=4)
    config.steps = 800
    config.model.iterations = 6
    config.model.hyper_features = 32
    config.model.features = (16, 32, 64, 64)
    config.data.batch_size = 8
    config.data.patch = 12
    config.optimizer.learning_rate = 2e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup = 50
    config.optimizer.clip_norm = 1.0
    config.optimizer.ema_decay = 0.99
    config.checkpoint.every = 100
    config.validation.every = 200
    config.validation.widths = 2
    config.validation.crop = 384
    return config
