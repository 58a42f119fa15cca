"""Ready-made degradations by name."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from blindsr_jax import degradations, ops
from blindsr_jax.degradations.file_steps import Jpeg
from blindsr_jax.degradations.noise_steps import ShotNoise
from blindsr_jax.degradations.notation import steps_from_text
from blindsr_jax.degradations.orders import ORDERS, photo, register_order
from blindsr_jax.degradations.pipeline import start_batch
from blindsr_jax.degradations.published_orders import bsrgan, real_esrgan, realdan
from blindsr_jax.degradations.realdan_numbers import kernel_numbers, realdan_numbers
from blindsr_jax.degradations.steps import Keys, Task, run_steps
from blindsr_jax.errors import ConfigError
from tests.conftest import drilled


def _hr(count, scale):
    rough = jax.random.uniform(jax.random.key(7), (count, 8, 8, 3))
    return jax.image.resize(rough, (count, 16 * scale, 16 * scale, 3), "linear")


@pytest.fixture(scope="module")
def drawn():
    """Batches of 32 images by an order at its scale; each program is compiled once."""

    @functools.cache
    def program(order, scale):
        return jax.jit(functools.partial(degradations.degrade, scale=scale, steps=order))

    def draw(order, scale, batches=1):
        made = [program(order, scale)(jax.random.key(seed), _hr(32, scale)) for seed in range(batches)]
        return jax.tree.map(lambda *parts: np.concatenate(parts), *made)

    return draw


@pytest.mark.parametrize("scale", [drilled(2), 3, drilled(4)])
@pytest.mark.parametrize("order", ["photo", "real_esrgan", "realdan", "bsrgan"])
def test_ends_at_lr_size_at_every_scale(order, scale):
    """The next test has the others, each order at one of them."""
    degrade = functools.partial(degradations.degrade, scale=scale, steps=order)
    made = jax.eval_shape(degrade, jax.random.key(0), _hr(4, scale))
    assert made.lr.shape == (4, 16, 16, 3)
    assert (made.sigma.shape, made.quality.shape) == ((4,), (4,))


@pytest.mark.parametrize(("order", "scale"), [("photo", 2), ("real_esrgan", 4), ("realdan", 2), ("bsrgan", 4)])
def test_runs_in_jit_and_gives_8_bit_images_of_the_picture(drawn, order, scale):
    made = drawn(order, scale)
    assert made.lr.shape == (32, 16, 16, 3)
    np.testing.assert_allclose(made.lr * 255, np.round(made.lr * 255), atol=1e-4)
    assert 0 <= made.lr.min() <= made.lr.max() <= 1
    np.testing.assert_allclose(made.kernel.sum((1, 2)), 1, atol=1e-5)
    assert np.isfinite(made.sigma).all() and ((made.quality >= 30) & (made.quality <= 100)).all()
    shrunk = ops.imresize(_hr(32, scale), 1 / scale)
    likeness = [np.corrcoef(np.ravel(a), np.ravel(b))[0, 1] for a, b in zip(made.lr, shrunk)]
    assert np.median(likeness) > 0.5


def test_photo_has_clean_and_compressed_pictures_as_often_as_it_says(drawn):
    made = drawn("photo", 2, 12)
    uncompressed = np.mean(made.quality == 100)
    assert abs(uncompressed - 0.35 * (1 - 0.65 * 0.4)) < 0.06
    # Clean, or neither white noise nor shot noise.
    assert abs(np.mean(made.sigma == 0) - (0.35 + 0.65 * 0.4**2)) < 0.08
    assert abs(np.mean(made.kernel.max(axis=(1, 2)) > 0.999) - 0.3) < 0.15
    assert made.sigma.max() < 29 / 255


def test_options_of_photo_reach_its_steps():
    (_, taken, last, _) = photo(2, clean_rate=0.1, shot_noise=(1.0, 2.0), jpeg=(50, 60), jpeg_rate=1.0)
    assert taken.shares == (0.1, 0.9)
    assert taken.branches[1][1] == ShotNoise((1.0, 2.0), 0.4)
    assert last == Jpeg((50, 60), 1.0)


def test_how_often_published_orders_compress(drawn):
    assert (drawn("real_esrgan", 4).quality <= 95).all()
    assert (drawn("bsrgan", 4).quality <= 95).all()
    assert abs(np.mean(drawn("realdan", 2, 6).quality == 100) - 0.25) < 0.1


def test_the_numbers_of_realdan_are_what_happened(drawn):
    made = drawn("realdan", 2, 6)
    numbers = np.asarray(realdan_numbers(made.drawn))
    assert numbers.shape == (192, 42)
    assert (numbers.min(), numbers.max()) == (0, 1)
    np.testing.assert_array_equal(numbers[:, :8], kernel_numbers(made.drawn))
    rings = made.kernel.min(axis=(1, 2)) < 0
    np.testing.assert_array_equal(numbers[:, 6] == 1, rings)
    assert (numbers[rings, :5] == 0).all() and (numbers[~rings, 7] == 0).all()
    for first in (18, 21, 39):  # one interpolation each
        np.testing.assert_array_equal(numbers[:, first : first + 3].sum(axis=1), 1)
    for first in (24, 28):  # Poisson noise and no Gaussian noise, or the reverse; at either, some grey
        kind, grey, gaussian, poisson = numbers[:, first : first + 4].T
        assert (gaussian[kind == 1] == 0).all() and (poisson[kind == 0] == 0).all()
        assert 0.3 < kind.mean() < 0.7 and 0.25 < grey.mean() < 0.55
        assert (gaussian[kind == 0] > 0).all() and (poisson[kind == 1] > 0).all()
    lowest = np.full(192, 100.0)
    for first in (32, 34):
        compressed, quality = numbers[:, first : first + 2].T
        lowest = np.where(compressed == 1, np.minimum(lowest, 30 + 65 * quality), lowest)
    np.testing.assert_allclose(lowest, made.quality, atol=1e-4)
    assert abs(numbers[:, 37].mean() - 0.8) < 0.1  # the sinc filter at the end


def test_other_steps_have_no_numbers_of_realdan(drawn):
    made = drawn("photo", 2)
    with pytest.raises(ConfigError, match=r"config\.degradation\.steps: RealDAN learns .*; take 'realdan'"):
        realdan_numbers(made.drawn)
    with pytest.raises(ConfigError, match=r"config\.degradation: KernelDAN learns .*take kernel 'kerneldan'"):
        kernel_numbers(made.drawn)
    assert drawn("bsrgan", 4).drawn.keys() == {"branch", "jpeg", "quality", "size", "interpolation"}


def test_real_esrgan_sharpens_first_if_told():
    assert real_esrgan(4)[0].name == "sharpen"
    assert real_esrgan(4)[1:] == real_esrgan(4, sharpen=False)


def test_known_errors_of_public_code_are_options():
    assert dict(realdan(4)[0].kernels.options)["radius"] == "euclidean"
    assert dict(realdan(4, sinc_radius="squared")[0].kernels.options)["radius"] == "squared"


def test_bsrgan_halves_first_at_x4_alone():
    assert [step.name for step in bsrgan(4)][:2] == ["one_of", "shuffled"]
    assert [step.name for step in bsrgan(2)] == ["shuffled", "resize", "jpeg", "round8"]


@pytest.mark.parametrize("scale", [drilled(2), 3, drilled(4)])
def test_sampling_at_the_centres_of_blocks_is_bsrgans_s_fold(scale):
    """A moved Gaussian and every s-th pixel weigh the same pixels as a Gaussian and bilinear interpolation."""
    hr = jax.random.uniform(jax.random.key(0), (3, 36, 36, 3))
    steps = bsrgan(scale)[-4].steps[2].branches[1][:2]
    made = run_steps(steps, start_batch(hr), Keys(jax.random.key(1)), Task(scale, (36 // scale, 36 // scale)))
    spread = np.sqrt(np.einsum("bij,j->b", made.kernel, (np.arange(25) - 12.0) ** 2))
    assert (spread < 0.6 * scale).all()
    for image, kernel, out in zip(np.float64(hr), np.float64(made.kernel), made.image):
        shift = (scale - 1) / 2
        moved = scipy.ndimage.shift(kernel, [shift, shift], order=1, prefilter=False)  # which correlation applies
        blurred = scipy.ndimage.correlate(image, moved[..., None], mode="mirror")
        inside = slice(12 // scale + 1, -(12 // scale) - 2)
        np.testing.assert_allclose(out[inside, inside], blurred[::scale, ::scale][inside, inside], atol=1e-4)


def test_ones_own_order_works_by_name():
    @register_order("twice_compressed")
    def twice_compressed(scale, *, quality=(60, 90)):
        return steps_from_text(f"downsample(), jpeg({quality}), jpeg({quality}), round8()", scale)

    try:
        steps = steps_from_text("twice_compressed(quality=(50, 50))", 2)
        made = degradations.degrade(jax.random.key(0), jnp.full((2, 8, 8, 3), 0.3), scale=2, steps=steps)
    finally:
        del ORDERS["twice_compressed"]
    np.testing.assert_array_equal(made.quality, 50)
    with pytest.raises(ValueError, match="'photo': the name is taken"):
        register_order("photo")(twice_compressed)
    with pytest.raises(ValueError, match="'jpeg': the name is taken"):
        register_order("jpeg")(twice_compressed)
    assert ORDERS["photo"] is photo
