"""The base of all networks: the facts by which training, inference and evaluation know how to treat one."""

from __future__ import annotations

import dataclasses
import typing

import flax.linen as nn
import jax
import jax.numpy as jnp

from blindsr_jax.degradations.size_steps import Downsampling
from blindsr_jax.networks.compute import Compute


class FirstStage(typing.NamedTuple):
    """A first stage of training that has a task of its own.

    Attributes:
      field: the field of ``config.model`` with the number of its steps; 0 leaves the stage out.
      steps: default of that field.
      supervision: its loss, one of ``losses.LOSSES``.
      downsample: the downsampling of its LR images.
      supervise: the steps that its loss sees, in place of ``config.model.supervise``; empty for the same.
      groups: the optimizer's groups that no later stage trains.
    """

    field: str
    steps: int
    supervision: str
    downsample: Downsampling = "bicubic"
    supervise: str = ""
    groups: tuple[str, ...] = ()


class Pooling(typing.NamedTuple):
    """How a map is averaged over the image.

    Attributes:
      bins: N; the means are over N×N bins of the image, see ``ops.pooling``.
      border: pixels on each side that the map lacks, as after convolutions without padding.
    """

    bins: int
    border: int


class Network(nn.Module):
    """Base of all networks. A subclass changes what is different for it.

    Its remaining fields are the sizes of the network: those that a config's model section and a bundle hold. A default
    tells the kind of a size, and ``typing.Literal`` its allowed values.

    Attributes:
      compute: how the network computes, see ``networks.compute``; a subclass gives it to its layers.
      blind: whether LR images are all that it is given. The others are given blur, scale and noise level as well.
      restores: whether an image comes out. Some networks only estimate kernels.
      denoises: whether it only removes noise. ``load`` then makes a DPIR of it.
      unfolds: whether it repeats one step, so that step t of T gives what t steps give.
      estimates_kernel: whether it finds a kernel.
      kernel_space: ``hr`` for kernels that blur the HR image before downsampling; ``lr`` for kernels that blur the HR
        image after bicubic downsampling.
      scales: the scales that one set of weights serves, of networks that are given the scale with every call.
      validation_scales: those of ``scales`` that ``config.model.scale`` may be.
      supervision: its loss, one of ``losses.LOSSES``; empty for networks that are not trained. The keyword arguments of
        the loss become fields of the config's model section.
      supervise: the allowed values of ``config.model.supervise``, the default first: whether the loss sees the ``last``
        step, ``all``, or the last with a gradient through all (``last_through_all``). Empty for networks without that
        choice.
      trained_with: true values that ``training_steps`` gets beside LR images: some of ``kernel``, ``sigma``, ``scale``.
      first_stage: what comes before the training by ``supervision``, if anything.
      made_for: values of ``config.degradation`` without which the network makes no sense, such as its sampling.
      optimizer_groups: the optimizer's group of the parameters below a top-level name, where that is not ``restorer``.
        ``config.optimizer.NAME_learning_rate`` is the learning rate of the group.
      takes_bfloat16: whether it may compute in less than float32. A network that inverts a blur may not.
      poolings: the means over the whole image that it restores tiles with, see ``networks.pooled``.
      shares_code: whether tiles are restored with the codes of all steps of the whole image, by ``with_code``.
      learns: whether it learns from each image in a loop of Python, so that it is no single program.
      through_fft: whether it restores through an FFT of the whole image, so that devices cannot share its rows.
      takes_padding: whether padded images get the numbers that they would get alone: see ``networks.region``.
      code_basis_length: L of networks whose constants hold a PCA basis of kernels [K², L]; else None.
    """

    compute: Compute = dataclasses.field(default=Compute(), kw_only=True)

    blind: typing.ClassVar[bool] = True
    restores: typing.ClassVar[bool] = True
    denoises: typing.ClassVar[bool] = False
    unfolds: typing.ClassVar[bool] = False
    estimates_kernel: typing.ClassVar[bool] = True
    kernel_space: typing.ClassVar[typing.Literal["hr", "lr"]] = "hr"
    scales: typing.ClassVar[tuple[int, ...]] = ()
    validation_scales: typing.ClassVar[tuple[int, ...]] = ()
    supervision: typing.ClassVar[str] = ""
    supervise: typing.ClassVar[tuple[str, ...]] = ()
    trained_with: typing.ClassVar[tuple[str, ...]] = ()
    first_stage: typing.ClassVar[FirstStage | None] = None
    made_for: typing.ClassVar[typing.Mapping[str, str]] = {}
    optimizer_groups: typing.ClassVar[typing.Mapping[str, str]] = {}
    takes_bfloat16: typing.ClassVar[bool] = False
    poolings: typing.ClassVar[typing.Mapping[str, Pooling]] = {}
    shares_code: typing.ClassVar[bool] = False
    learns: typing.ClassVar[bool] = False
    through_fft: typing.ClassVar[bool] = False
    takes_padding: typing.ClassVar[bool] = False
    code_basis_length: typing.ClassVar[int | None] = None

    @property
    def least_side(self) -> int:
        """LR pixels: the least height and width of images for a program that serves images of every size."""
        return 16

    def example(self) -> dict[str, typing.Any]:
        """Arguments of a call that creates the parameters."""
        return {"lr": jnp.zeros((1, 8, 8, 3), jnp.float32)}

    def reported(self, images: jax.Array) -> jax.Array:
        """The images after 1, 2 … T steps, from the images [T, ...] of a trace."""
        return images
