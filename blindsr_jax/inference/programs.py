"""The compiled programs: a network applied to a batch, to patches of one image, to tiles of one image.

Each is compiled once for each network and shape, whatever the weights.
"""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding

from blindsr_jax.degradations.kernels import dirac
from blindsr_jax.networks.region import Region
from blindsr_jax.types import SROutput

Variables = dict[str, typing.Any]
Means = dict[str, typing.Any]  # of channel attention, by module


@functools.partial(jax.jit, static_argnums=0, static_argnames=("iterations", "trace", "image_only", "rows"))
def apply(
    module: nn.Module,
    variables: Variables,
    lr: jax.Array,
    given: dict[str, typing.Any],
    *,
    iterations: int | None,
    trace: bool,
    image_only: bool,
    rows: NamedSharding | None = None,
) -> SROutput:
    """A blind network.

    Args:
      module, variables: the network.
      lr: [B, H, W, 3].
      given: a kernel, its code or nothing, and the region of padded images.
      iterations, trace, image_only: see ``Model.__call__``.
      rows: if given, all maps are cut along the height as it says. XLA exchanges the few rows that a convolution sees
        of its neighbours.
    """
    options = {"image_only": True} if image_only else {}
    lr = lr if rows is None else jax.lax.with_sharding_constraint(lr, rows)
    return module.apply(variables, lr, **given, iterations=iterations, trace=trace, **options)


@functools.partial(jax.jit, static_argnums=0, static_argnames=("scale", "iterations", "trace"))
def apply_solver(
    module: nn.Module,
    variables: Variables,
    lr: jax.Array,
    kernel: jax.Array,
    sigma: jax.Array,
    *,
    scale: int,
    iterations: int | None,
    trace: bool,
) -> SROutput:
    """A non-blind network; arguments as of ``Solver.__call__``."""
    return module.apply(variables, lr, kernel=kernel, scale=scale, sigma=sigma, iterations=iterations, trace=trace)


@functools.partial(jax.jit, static_argnums=0, static_argnames="iterations")
def estimate_from_patches(
    module: nn.Module,
    variables: Variables,
    patches: jax.Array,
    region: Region,
    given: dict[str, jax.Array],
    *,
    iterations: int | None,
) -> tuple[jax.Array, jax.Array, jax.Array, Means]:
    """A DAN on patches of one image, padded to one shape.

    Args:
      module, variables: the DAN.
      patches: [B, H, W, 3].
      region: size of the patches, and of each the part that counts in means.
      given: a kernel [1, K, K], or nothing.
      iterations: see ``apply``.

    Returns:
      Kernel [1, K, K] and code [1, L], found or given; the code [1, L] of the last image, which is that of the step
      before; and the means that channel attention saw then.
    """
    shared = {name: jnp.broadcast_to(x, (len(patches), *x.shape[1:])) for name, x in given.items()}
    if not given:
        steps = module.apply(variables, patches, region=region, iterations=iterations, trace=True).trace
        before = steps.kernel_code[-2] if len(steps.kernel_code) > 1 else None
        shared = {"kernel": _first_kernel(module, patches)} if before is None else {"kernel_code": before}
    last, noted = module.apply(variables, patches, region=region, **shared, mutable=["means"])
    kernel, code = (last.kernel, last.kernel_code) if given else (steps.kernel[-1], steps.kernel_code[-1])
    return kernel[:1], code[:1], last.kernel_code[:1], noted.get("means", {})


@functools.partial(jax.jit, static_argnums=0)
def restore_tiles(
    module: nn.Module,
    variables: Variables,
    tiles: jax.Array,
    region: Region,
    code: jax.Array,
) -> tuple[jax.Array, Means]:
    """A DAN on tiles of one image, whose kernel code and means are known.

    Args:
      module, variables: the DAN; ``means`` among the variables.
      tiles: [B, H, W, 3].
      region: size of the tiles, and the windows [B, 4] whose means are returned.
      code: [B, L].

    Returns:
      [B, s·H, s·W, 3], and the means that channel attention would have seen in the windows.
    """
    output, noted = module.apply(variables, tiles, region=region, kernel_code=code, mutable=["means"])
    return output.sr, noted.get("means", {})


def _first_kernel(module: nn.Module, images: jax.Array) -> jax.Array:
    """The kernel with which the first step restores."""
    kernel = dirac(module.kernel_size)
    return jnp.broadcast_to(kernel, (len(images), *kernel.shape))
