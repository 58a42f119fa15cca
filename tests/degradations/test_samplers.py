"""Kernel samplers by name, packaged ones and one's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import config, degradations
from blindsr_jax.degradations.notation import steps_from_text, text_of_steps
from blindsr_jax.degradations.samplers import SAMPLERS, kernels_of, register_sampler
from blindsr_jax.training.setup import steps_of


@pytest.fixture
def stripe():
    """A sampler of this file's own: horizontal stripes, one to ``longest`` pixels long."""

    @register_sampler("stripe")
    def stripe(key, count, *, size, longest=5):
        half = jax.random.randint(key, (count, 1, 1), 0, longest // 2 + 1)
        x = jnp.abs(jnp.arange(size) - size // 2)
        kernel = (x[None, None] <= half) * (x[None, :, None] == 0)
        return kernel / kernel.sum(axis=(1, 2), keepdims=True)

    yield "stripe"
    del SAMPLERS["stripe"]


def test_every_sampler_draws_kernels_that_sum_to_one():
    needed = {"isotropic": {"sigma": (0.2, 2.0)}, "anisotropic": {"sigma": (0.2, 2.0)}, "bsrgan": {"scale": 2}}
    needed["bsrgan_down"] = {"scale": 2}
    for name in SAMPLERS:
        pool = jnp.full((3, 9, 9), 1 / 81) if name == "pool" else None
        drawn = kernels_of(name, **needed.get(name, {})).draw(jax.random.key(0), 5, size=9, pool=pool)
        assert drawn.shape == (5, 9, 9), name
        np.testing.assert_allclose(drawn.sum((1, 2)), 1, atol=1e-5, err_msg=name)


def test_ones_own_sampler_works_by_name_everywhere(stripe):
    hr = jax.random.uniform(jax.random.key(1), (6, 24, 24, 3))
    by_name = degradations.degrade(jax.random.key(2), hr, scale=2, kernel=stripe, kernel_size=7)
    assert (np.asarray(by_name.kernel)[:, 3].sum(axis=1) == 1).all()
    steps = steps_from_text("blur(stripe(longest=7)), downsample(), round8()", 2)
    assert steps_from_text(text_of_steps(steps), 2) == steps
    drawn = degradations.degrade(jax.random.key(2), hr, scale=2, steps=steps, kernel_size=7).kernel
    assert (np.asarray(drawn)[:, 3].sum(axis=1) == 1).all()
    recipe = config.default("danv1", scale=2)
    recipe.degradation.steps = "blur(stripe(longest=7)), downsample(), round8()"
    assert steps_of(recipe) == steps


def test_what_a_sampler_does_not_have_is_named(stripe):
    with pytest.raises(ValueError, match=r"'no_such'"):
        kernels_of("no_such")
    with pytest.raises(ValueError, match=r"'stripe' have no option widest; they have size, longest"):
        kernels_of(stripe, widest=3)
    with pytest.raises(ValueError, match=r"'isotropic' need the option sigma"):
        kernels_of("isotropic")
    with pytest.raises(ValueError, match=r"'isotropic' with .*'sigma': 5"):
        kernels_of("isotropic", sigma=5).draw(jax.random.key(0), 2, size=7)


def test_packaged_names_cannot_be_taken(stripe):
    with pytest.raises(ValueError, match="taken"):
        register_sampler("isotropic")(lambda key, count, *, size: None)
    with pytest.raises(ValueError, match="letters, digits"):
        register_sampler("my-kernels")(lambda key, count, *, size: None)
    again = register_sampler(stripe)(lambda key, count, *, size: None)  # as a notebook's cell does when run again
    assert SAMPLERS[stripe] is again
