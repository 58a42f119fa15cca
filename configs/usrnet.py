"""USRNet for scales 1 to 4, validated at ×4: the paper's network with the recipe of the authors' code (KAIR).

  python -m blindsr_jax.main --config configs/usrnet.py --workdir runs/usrnet

From the paper: sizes, scales, ℓ1 loss, HR patches of 96, noise up to 25, kernels of 25×25, Adam at 1e-4 with halving.
From the code: batches of 48, halving every 100,000 steps, an eighth of the images without noise.
Our choice: 500,000 steps, only DIV2K, the pool of kernels, LR images rounded to 8 bits, the initial weights.

Time:  not measured: a step takes 0.44 Mpixel of HR patches eight times through 17 M parameters, so a GPU is needed
Score: not measured yet; ours has not been trained
"""

from blindsr_jax import config as config_lib


def get_config() -> config_lib.ConfigDict:
    config = config_lib.default("usrnet", scale=4)
    config.data.source = "div2k"
    return config
