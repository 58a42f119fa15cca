"""A compact DAN ×4 for CPUs, setting 1, trained from scratch; packaged as dan-lite-x4.

  python -m blindsr_jax.main --config configs/dan_lite_x4.py --workdir runs/dan_lite_x4 \
      --config.data.source=folder --config.data.root=PHOTOS

Time:  84 minutes on 2 CPU cores with other work beside it (about 70 alone; Python 3.12), on 111 photographs
Score: 30.18 dB on Set5 (gaussian8 ×4), bicubic 25.87; dan-lite-x4 has 14,000 further steps (docs/weights.md): 30.38
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dan_lite", scale=4)
    return config
