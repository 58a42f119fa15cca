"""KernelNet ×2: estimates kernels only; the paper's recipe, its gradient module first, then all of it.

  python -m blindsr_jax.main --config configs/kernelnet_x2.py --workdir runs/kernelnet_x2

Time:  not measured: a step takes 3.1 Mpixel of LR patches through 0.61 M parameters, so a GPU is needed
Score: published, kernel ℓ1 on the paper's own pool, which is not public: 0.245 (fixed Gaussian 0.319);
       ours has not been trained to the end yet, and is scored on held-out kernels of another pool
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("kernelnet", scale=2)
    config.data.source = "div2k"
    return config
