"""The processes of a run on several hosts, or the only one: they join, agree, share results, and notice a loss.

All of it is JAX's own multi-controller runtime (``jax.distributed``) and its collectives. Every process runs the same
program; a function that says *together* must be called by all of them, at the same place.
"""

from blindsr_jax.hosts.agreement import all_or_none, gathered, is_first, leave, noticing_losses
from blindsr_jax.hosts.join import join

__all__ = ["all_or_none", "gathered", "is_first", "join", "leave", "noticing_losses"]
