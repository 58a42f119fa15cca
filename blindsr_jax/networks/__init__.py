"""The networks as flax modules. ``build(name, **sizes)`` constructs any of them; ``register`` adds one of your own.

Restorers and Estimators of DAN are in ``dan_v1`` and ``dan_v2``.
"""

from blindsr_jax.networks import dan_v1, dan_v2
from blindsr_jax.networks.chain import Chain, stack_chains, unstack_chains
from blindsr_jax.networks.compute import Compute, with_compute
from blindsr_jax.networks.dan import DAN
from blindsr_jax.networks.dasr import DASR
from blindsr_jax.networks.dcls import DCLS
from blindsr_jax.networks.dpir import DPIR
from blindsr_jax.networks.drunet import DRUNet
from blindsr_jax.networks.dssr import DSSR
from blindsr_jax.networks.ikc import IKC
from blindsr_jax.networks.kernel_estimator import KernelEstimator
from blindsr_jax.networks.kernelnet import KernelNet
from blindsr_jax.networks.network import Network
from blindsr_jax.networks.one_pass import OnePass
from blindsr_jax.networks.pooled import PooledOnePass
from blindsr_jax.networks.real_dan import KernelDAN, RealDAN
from blindsr_jax.networks.region import Region
from blindsr_jax.networks.registry import MODELS, build, init_variables, register
from blindsr_jax.networks.unfolded import Unfolded
from blindsr_jax.networks.usrnet import USRNet

__all__ = [
    "DAN",
    "DASR",
    "DCLS",
    "DPIR",
    "DSSR",
    "IKC",
    "MODELS",
    "Chain",
    "Compute",
    "DRUNet",
    "KernelDAN",
    "KernelEstimator",
    "KernelNet",
    "Network",
    "OnePass",
    "PooledOnePass",
    "RealDAN",
    "Region",
    "USRNet",
    "Unfolded",
    "build",
    "dan_v1",
    "dan_v2",
    "init_variables",
    "register",
    "stack_chains",
    "unstack_chains",
    "with_compute",
]
