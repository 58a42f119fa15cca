"""A compact DAN ×2 for everyday pictures: blurred or sharp, noisy, sharpened, compressed.

  python -m blindsr_jax.main --config configs/dan_lite_photo_x2.py --workdir runs/dan_lite_photo_x2 \
      --config.data.source=folder --config.data.repeats="(4,3,1,4)" \
      --config.data.root="PHOTOS,PICTURES/photo_*,PICTURES/lineart_*,PICTURES/text_*"

It is the sibling of dan_lite_photo_x4 and starts from dan-lite-x2.

Time:  the packaged dan-lite-photo-x2 has had 9,000 steps (--config.steps=9000), 108 minutes of one CPU core
Score: 28.48 dB on twelve held-out pictures (photo ×2), bicubic 25.47
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dan_lite", scale=2)
    config.start_from = "dan-lite-x2"
    config.degradation.steps = "photo"
    config.model.conditions = ("noise", "jpeg")
    config.data.least_detail = 6.0
    config.data.shrink_rate = 0.5
    config.optimizer.kind = "muon"
    config.optimizer.learning_rate = config.optimizer.estimator_learning_rate = 1e-3
    config.validation.widths = 8
    return config
