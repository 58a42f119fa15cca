"""The compact DAN ×4 for noisy photographs: setting 1 with noise up to 15/255, starting from dan-lite-x4.

Packaged as dan-lite-noise-x4.

  python -m blindsr_jax.main --config configs/dan_lite_noise_x4.py --workdir runs/dan_lite_noise_x4 \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  13 minutes on 2 CPU cores with other work beside it (Python 3.12), on 111 photographs
Score: 29.35 dB on Set5 (gaussian8 ×4), bicubic 25.87; with noise of 15/255 26.15, bicubic 24.54
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dan_lite", scale=4)
    config.start_from = "dan-lite-x4"
    config.steps = 2_500
    config.degradation.noise = (0.0, 15.0)
    return config
