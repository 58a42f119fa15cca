"""Each step of a degradation by itself, and what is true of all."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from blindsr_jax import degradations, ops
from blindsr_jax.degradations.notation import steps_from_text
from blindsr_jax.degradations.pipeline import kernels_in, start_batch
from blindsr_jax.degradations.steps import STEPS, Keys, Task, register_step, run_steps
from tests.conftest import drilled


def _run(text, images, *, scale=2, seed=0, kernel=None, size=None):
    """Steps in a batch that need not end at LR size."""
    batch = start_batch(images, kernel)._replace(size=size)
    task = Task(scale, tuple(side // scale for side in images.shape[1:3]))
    return _compiled(steps_from_text(text, scale), task)(batch, jax.random.key(seed))


def _compiled(steps, task):
    """As one program: operation by operation takes several times as long."""
    return jax.jit(lambda batch, key: run_steps(steps, batch, Keys(key), task))


@pytest.fixture(scope="module")
def images():
    rough = jax.random.uniform(jax.random.key(7), (8, 12, 12, 3))
    return ops.imresize(rough, 4).clip(0, 1)


def test_blur_is_that_of_ops_with_a_kernel_for_each_image(images):
    out = _run('blur(isotropic(sigma=(0.5, 3)), "symmetric")', images)
    np.testing.assert_allclose(out.image, ops.blur(images, out.kernel, "symmetric"), atol=1e-6)
    assert out.kernel.shape == (8, 21, 21)


def test_images_that_are_not_blurred_have_the_dirac_kernel(images):
    out = _run("blur(isotropic(sigma=(1, 3)), rate=0.5)", images)
    sharp = np.asarray(out.kernel[:, 10, 10] == 1)
    assert 0 < sharp.sum() < 8
    np.testing.assert_array_equal(out.image[sharp], images[sharp])
    assert (abs(out.image - images).max(axis=(1, 2, 3))[~sharp] > 0.01).all()


def test_the_kernel_is_that_of_the_first_blur(images):
    given = degradations.isotropic_gaussian(1.0, 9)[None]
    out = _run("blur(), blur(isotropic(sigma=(1, 3)))", images, kernel=given)
    np.testing.assert_array_equal(out.kernel, given)
    with pytest.raises(ValueError, match="needs the kernels of the batch"):
        _run("blur()", images)
    unblurred = degradations.degrade(jax.random.key(0), images, scale=2, steps="downsample()", kernel_size=5)
    np.testing.assert_array_equal(unblurred.kernel, np.broadcast_to(degradations.dirac(5), (8, 5, 5)))


def test_sharpen_is_unsharp_masking(images):
    out = _run("sharpen((0.7, 0.7), radius=2.0, threshold=5.0)", images).image
    np.testing.assert_allclose(out, degradations.unsharp_mask(images, 0.7, radius=2.0, threshold=5.0), atol=1e-6)
    some = abs(_run("sharpen((0.7, 0.7), rate=0.5)", images).image - images).max(axis=(1, 2, 3)) > 0
    assert 0 < some.sum() < 8


def test_downsample_wants_hr_images(images):
    np.testing.assert_array_equal(_run("downsample('s_fold')", images).image, images[:, ::2, ::2])
    np.testing.assert_array_equal(_run("downsample()", images).image, ops.imresize(images, 0.5))
    with pytest.raises(ValueError, match=r"use resize\(\(1, 1\)\)"):
        _run("resize((0.5, 2)), downsample()", images)


def test_resize_draws_sizes_in_its_range(images):
    out = _run("resize((0.5, 1.5), ('bilinear', 'box'))", images)  # LR images have 24 pixels a side
    assert out.image.shape == (8, 36, 36, 3)
    sides = np.asarray(out.size)
    np.testing.assert_array_equal(sides[:, 0], sides[:, 1])
    assert sides.min() >= 12 and sides.max() <= 36 and len(set(sides[:, 0])) > 3
    np.testing.assert_array_equal(_run("resize((1, 1))", images).image.shape, (8, 24, 24, 3))
    assert _run("resize((1, 1))", images).size is None


def test_resize_goes_up_and_down_as_often_as_it_says():
    pixels = jnp.zeros((600, 20, 20, 1))
    sides = np.asarray(_run("resize((0.5, 1.5), relative_to='image', up_rate=0.2, down_rate=0.5)", pixels).size)[:, 0]
    # Factors between 0.975 and 1.025 keep the size: 5 % of those below, 5 % of those above.
    assert abs(np.mean(sides > 20) - 0.19) < 0.06
    assert abs(np.mean(sides < 20) - 0.475) < 0.07
    again = _run("resize((0.5, 0.5), relative_to='image'), resize((0.5, 0.5), relative_to='image')", pixels)
    assert again.image.shape == (600, 5, 5, 1)


def test_a_resized_image_is_what_it_is_alone(images):
    """Blur, sharpening and JPEG after a resizing see the border of the image, not what lies beyond in its array."""
    size = jnp.array([[32, 24]] * 8)
    junk = images.at[:, 32:].set(9.0).at[:, :, 24:].set(-9.0)
    for text in ("blur(isotropic(sigma=(1, 1)))", "sharpen()", "jpeg((60, 60), subsampling='444')"):
        within = _run(text, junk, size=size).image[:, :32, :24]
        repeated = np.pad(images[:, :32, :24], ((0, 0), (0, 16), (0, 24), (0, 0)), mode="edge")
        np.testing.assert_allclose(within, _run(text, jnp.asarray(repeated)).image[:, :32, :24], atol=1e-6)
    alone = _run("jpeg((60, 60), subsampling='444')", images[:, :32, :24]).image
    np.testing.assert_array_equal(_run("jpeg((60, 60), subsampling='444')", junk, size=size).image[:, :32, :24], alone)


@pytest.mark.parametrize(
    "text",
    ["noise((5, 20), free_rate=0.3)", "poisson_noise((0.5, 3))", "correlated_noise((5, 25))", "shot_noise((5, 20))"],
)
def test_sigma_is_the_level_of_the_noise(text):
    grey = jnp.full((8, 128, 128, 3), 0.5)
    out = _run(text, grey)
    np.testing.assert_allclose((out.image - grey).std(axis=(1, 2, 3)), out.sigma, rtol=0.05, atol=1e-6)
    assert out.sigma.max() > 2 * out.sigma.min()


def test_sigma_follows_blur_and_resizing():
    grey = jnp.full((4, 128, 128, 3), 0.5)
    for rest in (
        "blur(isotropic(sigma=(0.7, 2)))",
        "downsample()",
        "downsample('s_fold')",
        "resize((1, 1), ('area',))",
    ):
        out = _run(f"noise((10, 20)), {rest}", grey)
        np.testing.assert_allclose(out.image.std(axis=(1, 2, 3)), out.sigma, rtol=0.1, err_msg=rest)
    twice = _run("noise((10, 10)), noise((10, 10))", grey)
    np.testing.assert_allclose(twice.sigma * 255, 200**0.5, rtol=1e-5)


@pytest.mark.parametrize("text", ["noise((9, 9), grey_rate={})", "poisson_noise((2, 2), grey_rate={})"])
def test_grey_noise_is_the_same_in_all_channels(text):
    grey = jnp.full((8, 16, 16, 3), 0.5)
    for rate, lowest, highest in ((0.0, 0, 0), (0.5, 1, 7), (1.0, 8, 8)):
        noise = _run(text.format(rate), grey).image - grey
        alike = np.sum(np.asarray(noise.std(axis=-1).max(axis=(1, 2)) < 1e-6))
        assert lowest <= alike <= highest


def test_shot_noise_grows_with_the_light():
    steps = jnp.broadcast_to(jnp.repeat(jnp.array([0.1, 0.4, 0.9]), 64)[None, None, :, None], (2, 256, 192, 3))
    noise = np.asarray(_run("shot_noise((12, 12))", steps).image - steps)
    levels = noise.reshape(2, 256, 3, 64, 3).std(axis=(0, 1, 3, 4)) * 255
    np.testing.assert_allclose(levels, 12 * np.sqrt([0.1, 0.4, 0.9]), rtol=0.03)


def test_quality_is_the_lowest_and_only_some_are_compressed(images):
    out = _run("jpeg((40, 60), rate=0.5), jpeg((50, 90), rate=0.5)", images, seed=3)
    quality = np.asarray(out.quality)
    never = quality == 100
    assert 0 < never.sum() < 8
    assert ((quality[~never] >= 40) & (quality[~never] <= 90)).all()
    np.testing.assert_array_equal(out.image[never], images[never])
    once = _run("jpeg((40, 60))", images)
    np.testing.assert_array_equal(once.image, degradations.jpeg(images, once.quality.astype(int)))


def test_storing_clips_and_rounds():
    ramp = jnp.linspace(-0.2, 1.2, 512).reshape(1, 16, 32, 1)
    levels = np.clip(np.asarray(ramp), 0, 1) * 255
    np.testing.assert_allclose(_run("round8()", ramp).image * 255, np.round(levels), atol=1e-4)
    np.testing.assert_allclose(_run("round8('down')", ramp).image * 255, np.floor(levels), atol=1e-4)
    np.testing.assert_array_equal(_run("clip()", ramp).image, np.clip(ramp, 0, 1))


def test_one_of_takes_each_branch_as_often_as_it_says():
    dots = jnp.full((600, 2, 2, 3), 0.5)
    out = _run("one_of(((jpeg((30, 30)),), (jpeg((70, 70)),), ()), (0.5, 0.2, 0.3))", dots)
    shares = [float(np.mean(out.quality == quality)) for quality in (30, 70, 100)]
    np.testing.assert_allclose(shares, [0.5, 0.2, 0.3], atol=0.06)


def test_branches_may_end_at_different_sizes_and_some_may_blur(images):
    out = _run("one_of(((blur(isotropic(sigma=(2, 2))), downsample()), ()), (0.5, 0.5))", images)
    assert out.image.shape == images.shape
    shrunk = np.asarray(out.size[:, 0] == 24)
    assert 0 < shrunk.sum() < 8
    np.testing.assert_array_equal(out.image[~shrunk], images[~shrunk])
    np.testing.assert_array_equal(out.kernel[:, 10, 10] == 1, ~shrunk)
    with pytest.raises(ValueError, match="must end at LR size"):
        degradations.degrade(jax.random.key(0), images, scale=2, steps="one_of(((downsample(),), ()), (0.5, 0.5))")
    with pytest.raises(ValueError, match=r"\[5, 7\] pixels a side"):
        _run("one_of(((blur(photo(size=5)),), (blur(photo(size=7)),)), (0.5, 0.5))", images[:, :16, :16])


def _shuffled(text, images, seeds):
    """The batches after shuffled steps, for several keys."""
    steps, task = steps_from_text(text, 2), Task(2, tuple(side // 2 for side in images.shape[1:3]))
    run = jax.jit(lambda key: run_steps(steps, start_batch(images), Keys(key), task))
    return [run(jax.random.key(seed)) for seed in range(seeds)]


def test_shuffled_steps_come_in_every_order(images):
    parts = "sharpen((1, 1))", "blur(isotropic(sigma=(1.5, 1.5)))", "resize((0.5, 0.5), ('box',), 'image')"
    results = _shuffled(f"shuffled(({', '.join(parts)}))", images[:2], 24)
    for out in results:
        assert out.image.shape == (2, 48, 48, 3) and (np.asarray(out.size) == 24).all()
        np.testing.assert_allclose(out.kernel, np.stack([degradations.isotropic_gaussian(1.5, 21)] * 2), atol=1e-6)
    inside = slice(8)  # away from the lower right border, which is repeated in an array that an image does not fill
    shrunk = [np.asarray(out.image[:, inside, inside]) for out in results]
    for order in itertools.permutations(parts):
        expected = _run(", ".join(order), images[:2]).image[:, inside, inside]
        assert min(abs(image - expected).max() for image in shrunk) < 1e-5, order


def test_shuffled_steps_keep_the_order_they_are_told():
    dots = jnp.full((2, 4, 4, 3), 0.3)
    for out in _shuffled("shuffled((noise((64, 64)), clip(), round8()), before=((0, 2),))", dots, 12):
        levels = np.asarray(out.image) * 255
        np.testing.assert_allclose(levels, np.round(levels), atol=1e-3)


def test_shuffled_refuses_steps_that_enlarge(images):
    with pytest.raises(ValueError, match="enlarges images beyond the 48x48"):
        _run("shuffled((clip(), resize((1, 4))))", images)


def test_the_kernels_of_a_degradation_are_found_inside_other_steps():
    text = "jpeg(), one_of(((shuffled((clip(), blur(motion))),), ()), (0.5, 0.5)), blur(photo)"
    assert kernels_in(steps_from_text(text, 2)).sampler == "motion"
    assert kernels_in(steps_from_text("jpeg()", 2)) is None


def test_ones_own_step_works_by_name(images):
    @register_step("darker")
    @dataclasses.dataclass(frozen=True)
    class Darker:
        factor: float = 0.5

        def __call__(self, batch, keys, task):
            return batch._replace(image=batch.image * self.factor)

    try:
        out = degradations.degrade(jax.random.key(0), images, scale=2, steps="darker(0.25), downsample('s_fold')")
    finally:
        del STEPS["darker"]
    np.testing.assert_allclose(out.lr, images[:, ::2, ::2] / 4, rtol=1e-6)
    with pytest.raises(ValueError, match="'jpeg': the name is taken"):
        register_step("jpeg")(Darker)


@pytest.mark.parametrize(
    "order", [drilled("photo"), "shuffled((noise((0, 9)), jpeg(), resize((1, 1)))), resize((1, 1))"]
)
def test_is_independent_of_the_device_count(images, order):
    degrade = functools.partial(degradations.degrade, scale=2, steps=order)
    alone = jax.jit(degrade)(jax.random.key(5), images)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    compiled = (
        jax.jit(degrade, in_shardings=(None, split), out_shardings=split).lower(jax.random.key(5), images).compile()
    )
    spread = compiled(jax.random.key(5), jax.device_put(images, split))
    assert len(spread.lr.sharding.device_set) == 4
    np.testing.assert_allclose(spread.kernel, alone.kernel, atol=1e-6)
    np.testing.assert_array_equal(spread.quality, alone.quality)
    # JPEG and rounding turn an error of rounding into a level, or where it quantises into several.
    assert np.mean(abs(spread.lr - alone.lr) > 0.5 / 255) < 0.01
    for collective in ("all-gather", "all-to-all", "collective-permute"):
        assert collective not in compiled.as_text()
