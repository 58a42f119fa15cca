"""The compact DAN ×2, setting 1, starting from dan-lite-x4; packaged as dan-lite-x2.

  python -m blindsr_jax.main --config configs/dan_lite_x2.py --workdir runs/dan_lite_x2 \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  30 minutes on 2 CPU cores with other work beside it (Python 3.12), on 111 photographs
Score: 35.60 dB on Set5 (gaussian8 ×2), bicubic 30.36; 32.30 on Set14, bicubic 27.73
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dan_lite", scale=2)
    config.start_from = "dan-lite-x4"
    config.steps = 8_000
    config.data.shrink_rate = 0.5
    return config
