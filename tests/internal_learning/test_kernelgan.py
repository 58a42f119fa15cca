"""KernelGAN: the parts that are functions, and the loop around the step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.errors import DataError
from blindsr_jax.internal_learning import generator, kernelgan, kernelgan_step
from blindsr_jax.internal_learning import kernelgan_losses as losses
from blindsr_jax.internal_learning.discriminator import spectral_norm
from blindsr_jax.internal_learning.estimated_kernels import offset_of, significant, squared_scale, to_block_centres
from blindsr_jax.internal_learning.kernelgan import Crops, KernelGANOptions, learn_kernels
from blindsr_jax.ops.convolution import convolve


@pytest.fixture
def image(photo):
    return photo / np.float32(255)


def _crops(image, **options):
    return Crops(image, KernelGANOptions(steps=30, **options), np.random.default_rng(0))


def _moved(kernel, rows, columns):
    return np.roll(kernel, (rows, columns), (0, 1))


def test_the_kernel_is_that_of_the_six_convolutions(image):
    weights = generator.init_generator(np.random.default_rng(0))
    crop = jnp.asarray(image[:64, :64])
    x = crop.transpose(2, 0, 1)[..., None]  # the colours are the batch
    for layer, stride in zip(weights, (1, 1, 1, 1, 1, 2)):
        x = convolve(x, layer, ((0, 0), (0, 0)), stride)
    kernel = generator.generator_kernel(weights)
    found = generator.generate(kernel, crop)
    assert kernel.shape == (13, 13) and found.shape == (26, 26, 3)
    np.testing.assert_allclose(found, x[..., 0].transpose(1, 2, 0), atol=1e-5 * np.abs(x).max())


def test_spectral_norm_approaches_a_largest_singular_value_of_one():
    rng = np.random.default_rng(0)
    weights, pair = rng.normal(size=(20, 12)).astype("f4"), (np.ones(12, "f4"), np.ones(20, "f4"))
    for _ in range(60):
        divided, pair = spectral_norm(weights, *pair)
    np.testing.assert_allclose(np.linalg.svd(divided, compute_uv=False)[0], 1, rtol=1e-3)


def test_the_bicubic_target_keeps_or_sums_colours():
    crop = jnp.broadcast_to(jnp.array([0.1, 0.2, -0.4])[None, None], (64, 64, 3))
    np.testing.assert_allclose(losses.bicubic_target(crop, "each")[5, 5], [0.1, 0.2, -0.4], atol=1e-6)
    np.testing.assert_allclose(losses.bicubic_target(crop, "sum")[5, 5], [-0.1] * 3, atol=1e-6)


def test_a_kernel_of_zeros_has_a_finite_gradient():
    gradient = jax.grad(lambda k: losses.generator_losses(k, jnp.ones((64, 64, 3)), jnp.ones(()), "each").sparse)
    assert np.isfinite(gradient(jnp.zeros((13, 13)))).all()


def test_the_schedule_fades_the_bicubic_term_then_sharpens():
    schedule = kernelgan_step.start(np.random.default_rng(0)).schedule
    step = jax.jit(kernelgan_step.next_schedule, static_argnums=2)
    seen = {}
    for i in range(900):
        error = 0.1 if i in (0, 1, 3) or i > 150 else 0.5  # only from 151 on three times running
        schedule = step(schedule, error, "sum")
        seen[i] = tuple(float(getattr(schedule.weights, name)) for name in ("bicubic", "centralized", "sparse"))
    assert seen[199] == (5, 0, 0)
    for i, wanted in ((200, (5e-2, 0, 0)), (400, (5e-4, 1, 5)), (600, (5e-6, 1, 5)), (899, (5e-6, 1, 5))):
        np.testing.assert_allclose(seen[i], wanted, rtol=1e-5)
    rates = [float(kernelgan_step.learning_rate(jnp.int32(i))) for i in (0, 750, 751, 1501, 2251)]
    np.testing.assert_allclose(rates, [2e-4, 2e-4, 2e-5, 2e-6, 2e-7], rtol=1e-5)


def test_crops_lie_inside_and_begin_at_even_pixels(image):
    crops = _crops(image)
    seen = 2 * kernelgan.seen_part(image, False) - 1
    places = np.lib.stride_tricks.sliding_window_view(seen, (64, 64), (0, 1))[::2, ::2]
    for _ in range(30):
        crop, real, noise = crops.cut()
        assert crop.shape == (64, 64, 3) and real.shape == noise.shape == (26, 26, 3)
        assert any(np.array_equal(place, crop.transpose(2, 0, 1)) for row in places for place in row)


def test_noise_accumulates_only_if_asked_for(image):
    fresh, accumulating = _crops(image), _crops(image, noise="accumulating")
    pairs = [(fresh.cut()[0], accumulating.cut()[0]) for _ in range(30)]
    np.testing.assert_array_equal(*pairs[0])
    assert max(np.abs(a - b).max() for a, b in pairs) > 0.01
    values = np.unique(2 * kernelgan.seen_part(image, False) - 1)
    assert all(np.isin(a, values).all() for a, _ in pairs)


def test_small_and_flat_pictures_are_refused(image):
    with pytest.raises(DataError, match="64x64 pixels, the picture has 128x60"):
        learn_kernels([image[:60]], KernelGANOptions(steps=2))
    with pytest.raises(DataError, match="flat"):
        learn_kernels([np.full_like(image, 0.3)], KernelGANOptions(steps=2))
    assert kernelgan.seen_part(image, False).shape == (76, 108, 3)
    assert kernelgan.seen_part(image, True).shape == image.shape
    assert kernelgan.seen_part(image[:67], False).shape == (66, 128, 3)


def test_a_kernel_that_does_not_sum_to_one_is_learned_again_with_another_seed(image, caplog):
    looks = []
    with pytest.raises(DataError, match=r"no kernel in 2 attempts: the kernel's sum is .* with seed 8"):
        learn_kernels([image], KernelGANOptions(steps=3, seed=7, attempts=2), looks.append)
    assert ["again with seed 8" in line for line in caplog.messages] == [True, False]
    assert [look.step for look in looks] == [3, 3] and looks[0].kernel.shape == (13, 13)
    assert not np.array_equal(looks[0].kernel, looks[1].kernel)


def test_several_pictures_at_once_are_those_one_by_one(image):
    pictures = [image, image[::-1].copy()]
    crops = [[Crops(one, KernelGANOptions(steps=4), np.random.default_rng(i)) for i, one in enumerate(pictures)]] * 2
    states = [kernelgan_step.start(one.rng) for one in crops[0]]
    cut = [[one.cut() for one in crops[0]] for _ in range(3)]
    inputs = [jnp.asarray([[three[i] for three in row] for row in cut]) for i in range(3)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
    together = kernelgan_step.kernels_of(kernelgan_step.many_iterations(stacked, *inputs, colours="each"))
    for i, state in enumerate(states):
        for row in cut:
            state = kernelgan_step.one_iteration(jax.device_put(state), *row[i], colours="each")
        alone = kernelgan_step.kernel_of(state)
        np.testing.assert_allclose(together[i], alone, atol=0.2 * np.abs(alone).max())  # of numbers of 1e-7


def test_kernels_are_moved_to_the_centres_of_blocks():
    rng = np.random.default_rng(0)
    kernel = np.zeros((13, 13))
    kernel[4:8, 5:9] = rng.random((4, 4))
    kernel /= kernel.sum()
    for scale in (2, 3, 4):
        np.testing.assert_allclose(offset_of(to_block_centres(kernel, scale)), (scale - 1) / 2, atol=2e-3)
    four = squared_scale(to_block_centres(kernel, 2))
    np.testing.assert_allclose(offset_of(four), 1.5, atol=5e-3)
    np.testing.assert_allclose(four.sum(), 1)
    cleaned = significant(kernel + 1e-4 * rng.normal(size=(13, 13)))
    assert (cleaned >= 0).all() and (cleaned > 1e-3).sum() <= 16
    np.testing.assert_allclose(cleaned.sum(), 1)
