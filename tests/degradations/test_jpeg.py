import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from PIL import Image

from blindsr_jax import degradations

SUBSAMPLINGS = ["420", "444"]
compiled = jax.jit(degradations.jpeg, static_argnames="subsampling")


def _ours(images, quality, subsampling):
    out = compiled(np.float32(images) / 255, quality, subsampling)
    levels = np.round(np.asarray(out) * 255)
    np.testing.assert_allclose(out, levels / 255, atol=1e-7)
    return levels


def _by_pillow(images, quality, subsampling):
    return np.stack([_one_by_pillow(*pair, subsampling) for pair in zip(images, quality, strict=True)])


def _one_by_pillow(image, quality, subsampling):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(quality), subsampling={"420": 2, "444": 0}[subsampling])
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("name", ["city", "sea", "snow"])
def test_golden(reference, name, subsampling):
    golden = np.load(reference / "internal" / "jpeg.npz")
    quality = np.int32([20, 30, 50, 75, 90, 95])
    decoded = [golden[f"{name}/q{q}_{subsampling}/decoded"] for q in quality]
    images = np.stack([golden[f"{name}/image"]] * len(quality))
    np.testing.assert_array_equal(_ours(images, quality, subsampling), decoded)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("kind", ["noise", "extremes", "grey", "smooth"])
@pytest.mark.parametrize("size", [(1, 1), (3, 4), (6, 5), (17, 31), (32, 48)])
def test_equals_pillow_at_any_size(size, kind, subsampling):
    random = np.random.default_rng(sum(size))
    quality = np.int32([1, 2, 10, 49, 50, 51, 83, 99, 100])
    images = random.integers(0, 256, (len(quality), *size, 3))
    if kind == "extremes":
        images = 255 * (images > 127)
    elif kind == "grey":
        images = np.repeat(images[..., :1], 3, axis=-1)
    elif kind == "smooth":
        images = images // 16 + random.integers(0, 240, (len(quality), 1, 1, 3))
    images = np.uint8(images)
    np.testing.assert_array_equal(_ours(images, quality, subsampling), _by_pillow(images, quality, subsampling))


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_equals_pillow_on_a_photograph_at_every_quality(photo, subsampling):
    quality = np.arange(1, 101, dtype=np.int32)
    images = np.stack([photo[:83, :101]] * len(quality))
    np.testing.assert_array_equal(_ours(images, quality, subsampling), _by_pillow(images, quality, subsampling))


def test_one_quality_serves_the_whole_batch(photo):
    images = np.stack([photo, photo[::-1]])
    np.testing.assert_array_equal(_ours(images, 35, "420"), _by_pillow(images, [35, 35], "420"))


def test_rounds_and_clips_what_comes_in(photo):
    unit = np.float32(photo[None]) / 255
    between = unit + np.where(photo[None] % 2, 0.4, -0.4) / np.float32(255)
    np.testing.assert_array_equal(compiled(between, 80), compiled(unit, 80))
    stretched = 3 * unit - 1
    np.testing.assert_array_equal(compiled(stretched, 80), compiled(np.clip(stretched, 0, 1), 80))


def test_traced_quality_is_clipped(photo):
    unit = np.float32(np.stack([photo, photo])) / 255
    np.testing.assert_array_equal(compiled(unit, np.int32([0, 120])), compiled(unit, np.int32([1, 100])))


def test_a_split_batch_needs_no_collective(photo):
    images, quality = np.stack([photo] * 8), np.arange(20, 100, 10, dtype=np.int32)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    spread = jax.jit(degradations.jpeg, in_shardings=(split, split), out_shardings=split)
    unit = jnp.float32(images) / 255
    program = spread.lower(unit, quality).compile().as_text()
    for collective in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
        assert collective not in program
    np.testing.assert_array_equal(np.round(spread(unit, quality) * 255), _by_pillow(images, quality, "420"))


@pytest.mark.parametrize(
    ("shape", "quality", "subsampling", "message"),
    [
        ((2, 8, 8, 1), 50, "420", r"x must be images \[B, H, W, 3\]"),
        ((8, 8, 3), 50, "420", r"x must be images \[B, H, W, 3\]"),
        ((2, 8, 8, 3), 50, "422", "'420' or '444', got '422'"),
        ((2, 8, 8, 3), 75.0, "420", "integer from 1 to 100.*float"),
        ((2, 8, 8, 3), 0, "420", "from 1 to 100, got 0"),
        ((2, 8, 8, 3), [50, 101], "420", r"from 1 to 100, got \[ 50 101\]"),
        ((2, 8, 8, 3), [50, 60, 70], "420", "one for each of 2 images"),
    ],
)
def test_bad_arguments_are_named(shape, quality, subsampling, message):
    with pytest.raises(ValueError, match=message):
        degradations.jpeg(jnp.zeros(shape), quality, subsampling)


def test_integer_images_are_refused():
    with pytest.raises(ValueError, match="floating-point numbers, got uint8"):
        degradations.jpeg(jnp.zeros((1, 8, 8, 3), jnp.uint8), 50)
