"""Images whose rows the CPU's cores share, each a device of its own (simulated ones)."""

import functools
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from blindsr_jax.errors import OutOfMemory
from blindsr_jax.inference import all_cores, memory, programs
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.networks import build, init_variables
from tests.compiling import ONE_DEVICE
from tests.conftest import drilled

_SIZES = {
    "danv1": {"blocks": 1, "features": 32, "estimator_features": 8, "estimator_blocks": 1, "iterations": 2},
    "dssr": {"blocks": 1, "refine_blocks": 1, "features": 16, "iterations": 2},
}


@functools.cache
def _model(name):
    network = build(name, scale=2, **_SIZES[name])
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(441, 10)))[0].astype(np.float32)
    basis = basis if name == "danv1" else None
    return Model(network, jax.jit(lambda key: init_variables(network, key, basis))(jax.random.key(0, impl="rbg")))


def _image(height, width):
    return np.random.default_rng(0).random((height, width, 3), np.float32)


def _restored(monkeypatch, model, image, count, **options):
    monkeypatch.setattr(all_cores, "cores", lambda: count)
    return restore_image(model, image, **options)


@pytest.mark.parametrize(
    ("name", "height", "width"),
    [("danv1", 65, 41), ("dssr", 64, 40), drilled("danv1", 64, 40), drilled("dssr", 66, 40)],
)
def test_cores_restore_what_one_device_does(monkeypatch, name, height, width):
    """64 rows divide evenly among two cores; 65 and 66 do not, so that the image is padded."""
    model, image = _model(name), _image(height, width)
    assert _shares(monkeypatch, model, image, 2) and not _shares(monkeypatch, model, image, 8)
    alone, shared = (_restored(monkeypatch, model, image, count) for count in (8, 2))
    np.testing.assert_allclose(shared.image, alone.image, atol=1e-5)
    if name == "danv1":
        np.testing.assert_allclose(shared.kernel, alone.kernel, atol=1e-5)
        known = {"kernel": alone.kernel}
        alone, shared = (_restored(monkeypatch, model, image, count, **known) for count in (8, 2))
        np.testing.assert_allclose(shared.image, alone.image, atol=1e-5)


def _shares(monkeypatch, model, image, count):
    monkeypatch.setattr(all_cores, "cores", lambda: count)
    return all_cores.share(model.module, image.shape[:2])


def test_cores_share_tiles(monkeypatch):
    model, image = _model("danv1"), _image(80, 72)
    alone, shared = (_restored(monkeypatch, model, image, count, tile=64, tiles_at_once=1) for count in (8, 2))
    np.testing.assert_allclose(shared.image, alone.image, atol=1e-5)
    np.testing.assert_allclose(shared.kernel, alone.kernel, atol=1e-5)


def test_cores_restore_tiles_side_by_side(monkeypatch):
    """Six tiles of three columns, four at once: the second row is begun with the first, and its batch is not full."""
    model, image = _model("danv1"), _image(80, 120)
    seen = []
    restore_tiles = programs.restore_tiles

    def watched(module, variables, tiles, *arguments, mesh=None):
        if isinstance(tiles, np.ndarray):  # not on each device
            seen.append((len(tiles), mesh and mesh.size))
        return restore_tiles(module, variables, tiles, *arguments, mesh=mesh)

    monkeypatch.setattr(programs, "restore_tiles", watched)
    alone, shared = (_restored(monkeypatch, model, image, count, tile=64) for count in (8, 4))
    assert seen == [(1, None)] * 12 + [(4, 4)] * 4
    np.testing.assert_allclose(shared.image, alone.image, atol=1e-5)
    np.testing.assert_allclose(shared.kernel, alone.kernel, atol=1e-5)


def test_small_images_networks_with_an_fft_and_given_devices_are_left_alone(monkeypatch):
    model = _model("danv1")
    assert not _shares(monkeypatch, model, _image(31, 64), 2)
    assert not _shares(monkeypatch, model.shard_rows(), _image(64, 64), 8)
    network = build("dcls", scale=2, kernel_size=11)
    assert not _shares(monkeypatch, Model(network, {}), _image(64, 64), 2)


def test_one_device_of_several_cores_filters_along_columns():
    """Its programs have convolutions of 1×3 pixels."""
    module = build("danv1", scale=2, **_SIZES["danv1"])
    variables, lr = _model("danv1").variables, _image(16, 16)[None]
    options = {"iterations": 1, "trace": False, "image_only": True}
    by_program = programs.apply.lower(module, variables, lr, {}, **options).as_text()
    plain = jax.jit(lambda v, lr: module.apply(v, lr, iterations=1, image_only=True)).lower(variables, lr).as_text()
    found = [text.count("1x3x32x32xf32>") for text in (by_program, plain)]
    assert found[0] > found[1] == 0


def test_memory_of_all_devices_counts(monkeypatch):
    """The result takes 2 MiB on each of two devices. 4 MiB of free memory are not enough."""
    rows = NamedSharding(Mesh(np.array(jax.devices()[:2]), ("rows",)), PartitionSpec("rows"))
    double = jax.jit(lambda x: 2 * x, out_shardings=rows)
    x = jax.device_put(np.ones(2**20, np.float32), rows)
    with memory.bounded():
        monkeypatch.setattr(memory, "available", lambda: 2**23)
        memory.checked(double, x)
        monkeypatch.setattr(memory, "available", lambda: 2**22)
        with pytest.raises(OutOfMemory):
            memory.checked(double, x)


@pytest.mark.parametrize(
    ("before", "devices"),
    [
        ("", 3),
        ("import jax; ", 3),
        ("import jax; jax.devices(); ", 1),
        ("import os; os.environ['XLA_FLAGS'] = FLAG; ", 2),
    ],
)
def test_each_core_becomes_a_device_unless_devices_are_chosen(before, devices):
    code = (
        f"FLAG = '--xla_force_host_platform_device_count=2'; {before}from blindsr_jax import cores; "
        "cores.cores = lambda: 3; cores.use_cores(); import jax; print(len(jax.devices()))"
    )
    environment = os.environ | {"XLA_FLAGS": ONE_DEVICE}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.returncode) == (f"{devices}\n", 0), done.stderr
