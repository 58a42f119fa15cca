"""The compact DAN ×3, setting 1, starting from dan-lite-x4; packaged as dan-lite-x3.

  python -m blindsr_jax.main --config configs/dan_lite_x3.py --workdir runs/dan_lite_x3 \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  6 minutes on 2 CPU cores with other work beside it (Python 3.12), on 111 photographs
Score: 32.09 dB on Set5 (gaussian8 ×3), bicubic 27.52; dan-lite-x3 has 3,600 further steps (docs/weights.md): 32.12
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dan_lite", scale=3)
    config.start_from = "dan-lite-x4"
    config.steps = 1_500
    return config
