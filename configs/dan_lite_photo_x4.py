"""A compact DAN ×4 for everyday pictures: blurred or sharp, noisy, sharpened, compressed.

  python -m blindsr_jax.main --config configs/dan_lite_photo_x4.py --workdir runs/dan_lite_photo_x4 \
      --config.data.source=folder --config.data.repeats="(4,3,1,4)" \
      --config.data.root="PHOTOS,PICTURES/photo_*,PICTURES/lineart_*,PICTURES/text_*"

It is trained on photographs, drawings and text. Its Estimator also estimates a picture's noise and JPEG compression and
passes both to the Restorer.

Time:  the packaged dan-lite-photo-x4 has had 10,956 steps from dan-lite-noise-x4, two hours of one CPU core
Score: 23.30 dB on twelve held-out pictures (photo ×4), bicubic 21.77; see blindsr_jax/weights/packaged for its commands
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dan_lite", scale=4)
    config.degradation.steps = "photo"
    config.model.conditions = ("noise", "jpeg")
    config.data.least_detail = 6.0
    config.validation.widths = 8
    return config
