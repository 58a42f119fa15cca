"""The compact DAN ×2, setting 1, starting from dan-lite-x4.

  python -m blindsr_jax.main --config configs/dan_lite_x2.py --workdir runs/dan_lite_x2 \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  not measured yet
Score: not measured yet
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dan_lite", scale=2)
    config.start_from = "dan-lite-x4"
    config.steps = 2_000
    return config
