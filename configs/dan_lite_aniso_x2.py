"""The compact DAN ×2 for rotated Gaussians (setting 2), starting from dan-lite-x2; packaged as dan-lite-aniso-x2.

  python -m blindsr_jax.main --config configs/dan_lite_aniso_x2.py --workdir runs/dan_lite_aniso_x2 \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  14 minutes on 2 CPU cores with other work beside it (Python 3.12), on 111 photographs
Score: 33.35 dB on six images of DIV2KRK ×2, bicubic 29.61
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.setting2(config_lib.default("dan_lite", scale=2))
    config.start_from = "dan-lite-x2"
    config.steps = 3_000
    config.data.shrink_rate = 0.5
    return config
