import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax import ops
from blindsr_jax.ops.resize import interpolate_bicubic

KINDS = ("area", "bilinear", "bicubic", "box")
OPENCV = {"linear": "bilinear", "cubic": "bicubic", "area": "box"}


def _random(*shape):
    return jax.random.uniform(jax.random.key(0), shape)


def test_golden(reference):
    """Equal to OpenCV within rounding, and to PyTorch within the rounding of its float32 coordinates (float64 here)."""
    golden = np.load(reference / "internal" / "real.npz")
    image = jnp.float32(golden["image"])[None] / 255
    names = [name for name in golden.files if name.startswith(("torch_", "cv2_"))]
    assert len(names) == 21
    for name in names:
        library, kind = name.split("/")[0].split("_")
        target = name.split("/")[1].removeprefix("size")
        if target.startswith("scale"):
            options = {"scale": float(target.removeprefix("scale"))}
        else:
            options = {"size": tuple(map(int, target.split("x")))}
        resize = functools.partial(ops.interpolate, kind=OPENCV[kind] if library == "cv2" else kind, **options)
        resized = jax.jit(resize)(image)
        tolerance = 5e-7 if library == "cv2" or kind == "area" else 5e-6
        np.testing.assert_allclose(resized[0], golden[name], atol=tolerance, err_msg=name)


@pytest.mark.parametrize("kind", ["area", "bilinear", "bicubic"])
@pytest.mark.parametrize("target", [{"size": (7, 4)}, {"size": (23, 30)}, {"scale": 0.37}, {"scale": 1.6}])
def test_equals_pytorch(kind, target):
    torch = pytest.importorskip("torch")
    x = _random(2, 15, 11, 3)
    nchw = torch.from_numpy(np.asarray(x).transpose(0, 3, 1, 2).copy())
    options = {"size": target.get("size"), "scale_factor": target.get("scale"), "mode": kind}
    wanted = torch.nn.functional.interpolate(nchw, **options).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(ops.interpolate(x, kind, **target), wanted, atol=3e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(5, 9), (13, 17), (31, 18), (1, 1)])
def test_constants_stay_and_the_result_is_compiled_alike(kind, size):
    resize = jax.jit(functools.partial(ops.interpolate, kind=kind, size=size))
    np.testing.assert_allclose(resize(jnp.full((1, 13, 17, 2), 0.3)), jnp.full((1, *size, 2), 0.3), atol=1e-6)
    x = _random(1, 13, 17, 2)
    np.testing.assert_allclose(resize(x[:, ::-1])[:, ::-1], resize(x), atol=1e-6)
    if size == (13, 17):
        np.testing.assert_allclose(resize(x), x, atol=1e-6)


@pytest.mark.parametrize("kind", ["area", "box"])
def test_areas_are_means_of_blocks_where_blocks_fit(kind):
    x = _random(2, 12, 15, 3)
    blocks = x.reshape(2, 4, 3, 5, 3, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(ops.interpolate(x, kind, size=(4, 5)), blocks, atol=1e-6)


@pytest.mark.parametrize("length", [3, 7, 11, 20])
def test_boxes_keep_the_mean(length):
    x = _random(1, 11, 11, 1)
    resized = ops.interpolate(x, "box", size=(length, length))
    np.testing.assert_allclose(resized.mean(), x.mean(), rtol=1e-5)


def test_bicubic_by_size_is_the_one_of_networks():
    x = _random(1, 10, 12, 2)
    for size in [(6, 5), (17, 30)]:
        wanted = interpolate_bicubic(x, size, align_corners=False)
        np.testing.assert_allclose(ops.interpolate(x, "bicubic", size=size), wanted, atol=1e-6)


def test_scale_and_size_differ_where_they_do_not_divide():
    x = _random(1, 20, 20, 1)
    by_scale, by_size = ops.interpolate(x, "bilinear", scale=0.37), ops.interpolate(x, "bilinear", size=(7, 7))
    assert by_scale.shape == by_size.shape
    assert np.abs(by_scale - by_size).max() > 0.01
    halves = ops.interpolate(x, "bilinear", scale=0.5), ops.interpolate(x, "bilinear", size=(10, 10))
    np.testing.assert_allclose(*halves, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("nearest", {"scale": 2}, "'area', 'bilinear', 'bicubic', 'box'"),
        ("area", {}, "either size or scale"),
        ("area", {"scale": 2, "size": (2, 2)}, "either size or scale"),
        ("box", {"scale": 0.1}, "to 0x0"),
    ],
)
def test_bad_options_are_named(kind, options, message):
    with pytest.raises(ValueError, match=message):
        ops.interpolate(_random(1, 5, 5, 1), kind, **options)
