"""The compact DAN ×4 for rotated Gaussians (setting 2), starting from dan-lite-x4; packaged as dan-lite-aniso-x4.

  python -m blindsr_jax.main --config configs/dan_lite_aniso_x4.py --workdir runs/dan_lite_aniso_x4 \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  11 minutes on 2 CPU cores with other work beside it (Python 3.12), on 111 photographs
Score: 29.77 dB on six images of DIV2KRK ×4, bicubic 26.41
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.setting2(config_lib.default("dan_lite", scale=4))
    config.start_from = "dan-lite-x4"
    config.steps = 2_500
    config.model.code_length = 10  # that of dan-lite-x4, so that its blocks fit; setting 2 has 15 at ×4
    return config
