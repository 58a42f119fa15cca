"""Multi-host runs: processes join, agree, share results, and detect the loss of another process.

Everything is built on JAX's multi-controller runtime (``jax.distributed``) and its collectives, and works with a single
process too. Every process runs the same program. A function documented as *collective* must be called by all processes
at the same place.
"""

from blindsr_jax.hosts.agreement import all_or_none, gathered, is_first, leave, noticing_losses
from blindsr_jax.hosts.join import join

__all__ = ["all_or_none", "gathered", "is_first", "join", "leave", "noticing_losses"]
