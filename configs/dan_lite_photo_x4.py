"""A compact DAN ×4 for pictures as people have them: photographs, drawings and text, blurred or not, noisy, compressed.

  python -m blindsr_jax.main --config configs/dan_lite_photo_x4.py --workdir runs/dan_lite_photo_x4 \
      --config.data.root="PHOTOS,PICTURES/photo_*,PICTURES/lineart_*,PICTURES/text_*"

Its Estimator also finds how noisy and how compressed the picture is, and tells the Restorer.

Time:  not measured yet
Score: not measured yet
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dan_lite", scale=4)
    config.degradation.steps = "photo"
    config.model.conditions = ("noise", "jpeg")
    config.data.source, config.data.repeats = "folder", (4, 3, 1, 4)
    config.data.least_detail = 6.0
    config.validation.widths = 8
    return config
