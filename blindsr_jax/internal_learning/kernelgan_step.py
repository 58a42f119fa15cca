"""One iteration of KernelGAN: the generator's update, the discriminator's on the same crops, and the schedule."""

from __future__ import annotations

import dataclasses
import functools
import typing

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.internal_learning.adam import Moments, adam, no_moments
from blindsr_jax.internal_learning.discriminator import Discriminator, Vectors, discriminate, init_discriminator
from blindsr_jax.internal_learning.generator import Weights, generate, generator_kernel, init_generator
from blindsr_jax.internal_learning.kernelgan_losses import (
    Colours,
    LossWeights,
    discriminator_loss,
    generator_losses,
    weighted,
)

_RATE, _RATE_STEPS = 2e-4, 750  # the learning rate, and the iterations after which it is divided by ten
_BETAS = 0.5, 0.999
_SIMILAR = {"sum": 0.4, "each": 0.4 / 9}  # errors of the bicubic term; three times the amplitude, nine times the error
_RUNNING = 3  # iterations with such an error
_FADE_STEPS, _LEAST = 200, 5e-6
_SHARPEN = 5e-3  # λ of the bicubic term below which the kernel is centred and made sparse
_CENTRALIZED, _SPARSE = 1.0, 5.0


@flax.struct.dataclass
class Schedule:
    """The state that changes from iteration to iteration.

    Attributes:
      step: number of finished iterations.
      similar: iterations in a row whose bicubic term was small; it stays at three.
      weights: λ of the generator's loss.
    """

    step: typing.Any
    similar: typing.Any
    weights: LossWeights


@flax.struct.dataclass
class State:
    """All that training changes."""

    generator: Weights
    generator_moments: Moments
    discriminator: Discriminator
    discriminator_moments: Moments
    vectors: Vectors
    schedule: Schedule


def start(rng: np.random.Generator) -> State:
    """The state before the first iteration, in NumPy."""
    generator = init_generator(rng)
    discriminator, vectors = init_discriminator(rng)
    schedule = Schedule(np.int32(0), np.int32(0), jax.tree.map(np.float32, LossWeights()))
    return State(generator, no_moments(generator), discriminator, no_moments(discriminator), vectors, schedule)


def iterate(state: State, crop: jax.Array, real: jax.Array, noise: jax.Array, colours: Colours) -> State:
    """One iteration.

    Args:
      state: the state before it.
      crop: [64, 64, 3], the generator's input in [−1, 1].
      real: [26, 26, 3], the discriminator's true patch, noise included.
      noise: [26, 26, 3], added to the generator's output before the discriminator is trained with it.
      colours: see ``kernelgan_losses.bicubic_target``.
    """
    rate = learning_rate(state.schedule.step)

    def generator_loss(generator: Weights) -> tuple[jax.Array, tuple[jax.Array, Vectors]]:
        kernel = generator_kernel(generator)
        answers, vectors = discriminate(state.discriminator, state.vectors, generate(kernel, crop))
        losses = generator_losses(kernel, crop, answers, colours)
        return weighted(losses, state.schedule.weights), (losses.bicubic, vectors)

    gradient, (bicubic, vectors) = jax.grad(generator_loss, has_aux=True)(state.generator)
    generator, generator_moments = adam(state.generator, gradient, state.generator_moments, rate, betas=_BETAS)
    fake = generate(generator_kernel(generator), crop) + noise

    def loss_of_discriminator(discriminator: Discriminator) -> tuple[jax.Array, Vectors]:
        of_real, after_real = discriminate(discriminator, vectors, real)
        of_fake, after_fake = discriminate(discriminator, after_real, fake)
        return discriminator_loss(of_fake, of_real), after_fake

    gradient, vectors = jax.grad(loss_of_discriminator, has_aux=True)(state.discriminator)
    discriminator, discriminator_moments = adam(
        state.discriminator, gradient, state.discriminator_moments, rate, betas=_BETAS
    )
    schedule = next_schedule(state.schedule, bicubic, colours)
    return State(generator, generator_moments, discriminator, discriminator_moments, vectors, schedule)


def learning_rate(step: jax.Array) -> jax.Array:
    """The learning rate of both networks: 2e-4, divided by ten after every 750 iterations."""
    return _RATE * 0.1 ** (jnp.maximum(step - 1, 0) // _RATE_STEPS).astype(jnp.float32)


def next_schedule(schedule: Schedule, bicubic: jax.Array, colours: Colours) -> Schedule:
    """The schedule after an iteration with this error of the bicubic term.

    λ of the bicubic term stays until the error was small three times running. Then every 200 iterations divide it by
    100, and as soon as it is small the terms that centre the kernel and make it sparse join.
    """
    step, weights = schedule.step, schedule.weights
    small = jnp.where(bicubic < _SIMILAR[colours], schedule.similar + 1, 0)
    similar = jnp.where(schedule.similar >= _RUNNING, _RUNNING, small)
    fades = (similar >= _RUNNING) & (step > 0) & (step % _FADE_STEPS == 0)
    faded = jnp.where(fades, jnp.maximum(weights.bicubic / 100, _LEAST), weights.bicubic)
    sharpens = faded < _SHARPEN
    weights = dataclasses.replace(
        weights,
        bicubic=faded,
        centralized=jnp.where(sharpens, _CENTRALIZED, weights.centralized),
        sparse=jnp.where(sharpens, _SPARSE, weights.sparse),
    )
    return Schedule(step + 1, similar, weights)


# Below, ``iterate`` as programs that serve pictures of all sizes.
one_iteration = jax.jit(iterate, static_argnames="colours", donate_argnums=0)
kernel_of = jax.jit(lambda state: generator_kernel(state.generator))
kernels_of = jax.jit(jax.vmap(lambda state: generator_kernel(state.generator)))


@functools.partial(jax.jit, static_argnames="colours", donate_argnums=0)
def many_iterations(states: State, crops: jax.Array, reals: jax.Array, noises: jax.Array, colours: Colours) -> State:
    """Several iterations of several pictures in one program, for accelerators; on a CPU a scan is far slower.

    Args:
      states: the states of B pictures, stacked.
      crops, reals, noises: see ``iterate``, [N, B, …] for N iterations.
      colours: see ``iterate``.
    """
    of_all = jax.vmap(functools.partial(iterate, colours=colours))
    return jax.lax.scan(lambda states, inputs: (of_all(states, *inputs), None), states, (crops, reals, noises))[0]
