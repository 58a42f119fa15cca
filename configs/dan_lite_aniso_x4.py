"""The compact DAN ×4 for rotated Gaussians (setting 2), starting from dan-lite-x4.

  python -m blindsr_jax.main --config configs/dan_lite_aniso_x4.py --workdir runs/dan_lite_aniso_x4 \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  not measured yet
Score: not measured yet
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.setting2(config_lib.default("dan_lite", scale=4))
    config.start_from = "dan-lite-x4"
    config.steps = 2_500
    config.model.code_length = 10  # as dan-lite-x4, whose blocks then fit; setting 2 has 15 at ×4
    return config
