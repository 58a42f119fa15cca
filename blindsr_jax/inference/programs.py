"""The compiled programs, which apply a network to a batch, to patches of one image or to tiles of one image.

Each is compiled once for each network and shape. Other weights of the same network need no new compilation.
"""

from __future__ import annotations

import functools
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from blindsr_jax.networks.compute import with_compute
from blindsr_jax.networks.pooled import Pooled, PooledOnePass
from blindsr_jax.networks.region import Region, optional
from blindsr_jax.networks.unfolded import Unfolded
from blindsr_jax.ops import back_projection
from blindsr_jax.types import SROutput

Variables = dict[str, typing.Any]
Means = dict[str, typing.Any]  # channel attention's means, by module
TILES = "tiles"  # the mesh axis of devices that restore tiles side by side
_BANDS = 8  # images that fill a TPU's vector registers


def for_one_device(module: nn.Module, backend: str | None = None) -> nn.Module:
    """Return a copy of a network that computes in the form that is fast on a device.

    On a CPU, convolutions are computed by ``ops.winograd``. On a TPU, one image is a batch of bands of rows
    (``networks.bands``).

    Args:
      module: the network.
      backend: ``cpu``, ``gpu`` or ``tpu``; by default JAX's.
    """
    on_tpu = (backend or jax.default_backend()) == "tpu"
    return with_compute(module, winograd=True, **({"bands": _BANDS} if on_tpu else {}))  # others stay


back_project = jax.jit(back_projection.back_project, static_argnames=("scale", "iterations", "downsample", "blur_mode"))


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
    """Apply a blind network to a batch.

    Args:
      module, variables: the network.
      lr: [B, H, W, 3].
      given: optionally ``kernel`` or ``kernel_code``, and ``region`` for padded images.
      iterations, trace, image_only: see ``Model.__call__``.
      rows: if given, the sharding of all feature maps along the height. XLA exchanges the few rows of the neighbouring
        shards that a convolution reads.
    """
    options = {"image_only": True} if image_only else {}
    options |= {} if iterations is None else {"iterations": iterations}
    lr = lr if rows is None else jax.lax.with_sharding_constraint(lr, rows)
    module = module if rows else for_one_device(module)
    return module.apply(variables, lr, **given, trace=trace, **options)


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
    """Apply a non-blind network to a batch; for the arguments see ``Solver.__call__``."""
    module = for_one_device(module)
    return module.apply(variables, lr, kernel=kernel, scale=scale, sigma=sigma, iterations=iterations, trace=trace)


@functools.partial(jax.jit, static_argnums=0, static_argnames="iterations")
def estimate_from_patches(
    module: Unfolded,
    variables: Variables,
    patches: jax.Array,
    region: Region,
    given: dict[str, jax.Array],
    *,
    iterations: int | None,
) -> tuple[jax.Array, jax.Array, jax.Array, Means]:
    """Apply a DAN to patches of one image that are padded to one shape.

    Args:
      module, variables: the DAN.
      patches: [B, H, W, 3].
      region: valid size of the patches, and the window of each that means are taken over.
      given: optionally ``kernel`` [1, K, K].
      iterations: see ``apply``.

    Returns:
      The kernel [1, K, K] and its code [1, L], estimated or given; the code [1, L] that the last restoration used,
      which is the estimate of the step before; and channel attention's means in that restoration.
    """
    module = for_one_device(module)
    shared = {name: jnp.broadcast_to(x, (len(patches), *x.shape[1:])) for name, x in given.items()}
    if not given:
        steps = module.apply(variables, patches, region=region, iterations=iterations, trace=True).trace
        if len(steps.kernel_code) > 1:
            shared = {"kernel_code": steps.kernel_code[-2]}
        else:
            shared = {"kernel_code": module.apply(variables, patches, region, method=_first_code)}
    last, noted = module.apply(variables, patches, region=region, **shared, mutable=["means"])
    kernel, code = (last.kernel, last.kernel_code) if given else (steps.kernel[-1], steps.kernel_code[-1])
    return kernel[:1], code[:1], last.kernel_code[:1], noted.get("means", {})


@functools.partial(jax.jit, static_argnums=0, static_argnames="iterations")
def codes_of_steps(
    module: Unfolded, variables: Variables, images: jax.Array, region: Region | None, *, iterations: int | None
) -> tuple[jax.Array | None, jax.Array, jax.Array]:
    """Apply a network of the fact ``shares_code`` to an image, or to patches of one.

    Args:
      module, variables: the network.
      images: [B, H, W, 3].
      region: None for a whole image; otherwise the patches' valid size and windows.
      iterations: see ``apply``.

    Returns:
      The kernel [1, K, K] or None, the code [1, L] of the last step, and the codes [1, T·L] of all steps.
    """
    module = for_one_device(module)
    steps = module.apply(variables, images, iterations=iterations, trace=True, **optional(region)).trace
    kernel = None if steps.kernel is None else steps.kernel[-1, :1]
    return kernel, steps.kernel_code[-1, :1], steps.kernel_code[:, 0].reshape(1, -1)


@functools.partial(jax.jit, static_argnums=0, static_argnames="mesh")
def restore_tiles(
    module: nn.Module,
    variables: Variables,
    tiles: jax.Array,
    region: Region,
    code: jax.Array,
    *,
    mesh: Mesh | None = None,
) -> tuple[jax.Array, Means]:
    """Apply a DAN to tiles of one image whose kernel code and means are known.

    Args:
      module, variables: the DAN; the variables include ``means``.
      tiles: [B, H, W, 3].
      region: valid size of the tiles, and the windows [B, 4] whose means are returned.
      code: [B, L].
      mesh: devices of the axis ``TILES``, each of which restores its part of the batch; None for one device.

    Returns:
      The restored tiles [B, s·H, s·W, 3], and channel attention's means in the windows: with a mesh, those of each
      device, stacked along the first axis.
    """
    if mesh is not None:
        split, whole = PartitionSpec(TILES), PartitionSpec()
        parts = whole, split, Region(whole, split), split
        # Without check_vma the loops inside may start from constants.
        alone = jax.shard_map(
            functools.partial(restore_tiles, module), mesh=mesh, in_specs=parts, out_specs=split, check_vma=False
        )
        return alone(variables, tiles, region, code)
    module = for_one_device(module)
    output, noted = module.apply(variables, tiles, region=region, kernel_code=code, mutable=["means"])
    return output.sr, noted.get("means", {})


@functools.partial(jax.jit, static_argnums=0)
def part_of_pooled(
    module: PooledOnePass, variables: Variables, part: jax.Array, weights: dict[str, tuple[jax.Array, jax.Array]]
) -> Pooled:
    """Apply ``PooledOnePass.part_of_pooled`` to a part [1, H, W, 3] of an image."""
    return for_one_device(module).apply(variables, part, weights, method="part_of_pooled")


@functools.partial(jax.jit, static_argnums=0)
def found_in_pooled(
    module: PooledOnePass, variables: Variables, pooled: Pooled
) -> tuple[jax.Array | None, jax.Array | None]:
    """Apply ``PooledOnePass.kernel_of`` and ``code_of``."""
    return tuple(module.apply(variables, pooled, method=method) for method in ("kernel_of", "code_of"))


@functools.partial(jax.jit, static_argnums=0)
def restore_with_pooled(
    module: PooledOnePass, variables: Variables, tiles: jax.Array, windows: jax.Array, pooled: Pooled
) -> tuple[jax.Array, Means]:
    """Apply a network to tiles of one image whose means of maps are known.

    Args:
      module, variables: the network; the variables may include ``means``.
      tiles: [B, H, W, 3].
      windows: [B, 4], the windows whose means are returned, see ``networks.region``.
      pooled: [1, N, N, C] by name.

    Returns:
      The restored tiles [B, s·H, s·W, 3], and channel attention's means in the windows.
    """
    module, region = for_one_device(module), Region(windows=windows)
    found, noted = module.apply(variables, tiles, pooled, region=region, method="restored_with", mutable=["means"])
    return found.sr, noted.get("means", {})


def _first_code(module: Unfolded, images: jax.Array, region: Region) -> jax.Array:
    """The codes [B, L] that the first step restores with."""
    return module.estimate_of(module.start(images, region=region)).code
