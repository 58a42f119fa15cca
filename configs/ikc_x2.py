"""IKC ×2, setting 1: SFTMD with true kernel codes first, then Predictor and Corrector; nearly the authors' recipe.

  python -m blindsr_jax.main --config configs/ikc_x2.py --workdir runs/ikc_x2

Ours: the rate of the first stage is halved every 125,000 steps, where the authors' falls as a cosine and restarts; the
second stage sums the losses of all codes for one update, where theirs makes an update for each; LR images as for DAN.

Time:  not measured yet
Score: not measured yet; ours has not been trained
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("ikc", scale=2)
    config.data.source = "div2k"
    return config
