"""DSSR ×4, setting 1: round Gaussian kernels; the paper's recipe.

  python -m blindsr_jax.main --config configs/dssr_x4.py --workdir runs/dssr_x4

Time:  21.6 s a step on 2 CPU cores, other work beside it, at --config.data.batch_size=4 --config.data.patch=32
       (Python 3.12), which is 1/8 of this batch: a CPU can only try it; GPU: not measured
Score: published, gaussian8: Set5 31.97 / 0.8870, Set14 28.43 / 0.7679, BSD100 27.49 / 0.7229
       (PSNR / SSIM on luma; ours has not been trained to the end yet)
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("dssr", scale=4)
    config.data.source = "div2k"
    return config
