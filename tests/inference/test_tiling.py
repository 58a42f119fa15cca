import dataclasses
import itertools

import jax
import numpy as np
import pytest

from blindsr_jax.degradations import isotropic_gaussian
from blindsr_jax.errors import DataError, OutOfMemory
from blindsr_jax.inference import tile_policy
from blindsr_jax.inference.loading import from_bundle, load
from blindsr_jax.inference.model import Model
from blindsr_jax.inference.pipeline import pipeline
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.inference.solver import Solver
from blindsr_jax.inference.tiling import MARGIN, OVERLAP, blending_weights, plan
from blindsr_jax.metrics import psnr
from blindsr_jax.networks import build, init_variables
from tests.conftest import drilled
from tests.inference.conftest import tiny_bundle
from tests.inference.repeating import Repeating


@pytest.mark.parametrize("length", [1, 63, 64, 65, 96, 97, 100, 1000])
def test_tiles_cover_and_overlap(length):
    starts = plan(length, 64)
    assert starts[0] == 0 and starts[-1] + min(64, length) == length
    assert all(0 < b - a <= 64 - OVERLAP for a, b in itertools.pairwise(starts))


@pytest.mark.parametrize("length", [65, 96, 150])
def test_the_weights_leave_nothing_out(length):
    starts, total = plan(length, 64), np.zeros(3 * length)
    for start in starts:
        weights = blending_weights(64, first=start == 0, last=start + 64 == length, scale=3)
        total[3 * start : 3 * (start + 64)] += weights
        assert start == 0 or (weights[: 3 * MARGIN] == 0).all()
    assert total.min() > 0.5


@pytest.mark.parametrize("most", [10_000, 80 * 80])
def test_what_tiles_saw_of_their_borders_is_thrown_away(most):
    """With less memory, tiles of 128 do not fit and tiles of 64 are used."""
    image = np.random.default_rng(0).random((150, 97, 3), np.float32)
    restored = restore_image(Repeating(most), image, tile=128).image
    inside = np.s_[2 * MARGIN : -2 * MARGIN, 2 * MARGIN : -2 * MARGIN]
    np.testing.assert_allclose(restored[inside], image.repeat(2, 0).repeat(2, 1)[inside], atol=1e-6)
    assert (restored[0] == 1).all(), "the image's own border stays as the model makes it"


@pytest.mark.parametrize("at_once", [drilled(3), 4])
def test_tiles_in_batches_are_those_one_by_one(model, at_once):
    """Six tiles in two full batches, and in one full and one half-full batch."""
    image = np.random.default_rng(0).random((90, 130, 3), np.float32)
    alone, batched = (restore_image(model, image, tile=64, tiles_at_once=n) for n in (1, at_once))
    np.testing.assert_allclose(batched.image, alone.image, atol=1e-6)
    np.testing.assert_allclose(batched.kernel, alone.kernel, atol=1e-6)
    assert batched.kernel_code.shape == alone.kernel_code.shape == (10,)


def test_a_batch_without_memory_is_taken_apart():
    """The batch shrinks before the tiles do."""

    class Counting(Repeating):
        shapes = ()

        def __call__(self, lr, **options):
            self.shapes = [*self.shapes, lr.shape[:3]]
            if len(lr) > 1:
                raise OutOfMemory("too large")
            return super().__call__(lr, **options)

    model = Counting()
    restore_image(model, np.zeros((64, 90, 3), np.float32), tile=64, tiles_at_once=2)
    assert model.shapes == [(2, 64, 64), (1, 64, 64), (1, 64, 64)]


def test_memory_that_suffices_for_no_tile():
    with pytest.raises(OutOfMemory, match="too large"):
        restore_image(Repeating(64 * 63), np.zeros((100, 100, 3), np.float32), tile=100)


def _scene():
    coarse = np.random.default_rng(0).random((1, 10, 12, 3))
    return np.array(jax.image.resize(coarse, (1, 80, 96, 3), "cubic")[0].clip(0, 1), np.float32)


@pytest.mark.parametrize("self_ensemble", [drilled(False), True])
def test_an_alternating_model_tells_all_tiles_one_kernel(model, self_ensemble):
    """An ensemble restores the upright image as well; tests/cli/test_restore.py has tiles without one."""
    image = _scene()
    whole = restore_image(model, image, self_ensemble=self_ensemble)
    tiles = restore_image(model, image, tile=64, self_ensemble=self_ensemble)
    assert psnr(*(np.uint8(255 * x.image) for x in (tiles, whole)), 0, "rgb") > 40
    assert tiles.kernel.shape == whole.kernel.shape and np.isfinite(tiles.kernel_code).all()


def test_tiles_with_a_known_kernel(model):
    image, known = _scene(), np.asarray(isotropic_gaussian(1.2, 11))
    told = [restore_image(model, image, kernel=known, tile=tile) for tile in (0, 64)]
    assert psnr(*(np.uint8(255 * x.image) for x in told), 0, "rgb") > 40


@pytest.mark.drill
def test_models_of_each_kind_go_through_tiles(reference):
    """In CI the model above and the pipeline below go through them, and a small DSSR in test_all_cores.py is shared."""
    image = _scene()
    for name in ("danv2_x2", "dssr_x2"):
        one = load(reference / "networks" / f"{name}.pth")
        whole, tiles = (restore_image(one, image, tile=tile).image for tile in (0, 64))
        assert psnr(np.uint8(255 * tiles), np.uint8(255 * whole), 0, "rgb") > 35, name


def test_a_pipeline_estimates_from_the_whole_image(reference):
    network = build("kernelnet", scale=2, width=4)
    estimator = Model(network, jax.jit(lambda key: init_variables(network, key))(jax.random.key(0, impl="rbg")))
    solver = load(reference / "networks" / "usrnet_tiny.pth")
    assert isinstance(solver, Solver)
    joined, image = pipeline(estimator, solver), _scene()
    whole, tiles = (restore_image(joined, image, tile=tile) for tile in (0, 64))
    np.testing.assert_allclose(tiles.kernel, whole.kernel, atol=1e-6)
    # The untrained estimate does not fit this image; a solver would make far-reaching rings with it.
    known = {"kernel": np.asarray(isotropic_gaussian(0.8, 9))}
    whole, tiles = (restore_image(joined, image, **known, tile=tile).image for tile in (0, 64))
    assert psnr(np.uint8(255 * tiles), np.uint8(255 * whole), 0, "rgb") > 50
    alone = solver.at_scale(2)
    with pytest.raises(DataError, match="needs the blur kernel"):
        restore_image(alone, image, tile=64)
    with pytest.raises(DataError, match="do not wrap around"):
        restore_image(joined.with_border("circular"), image, tile=64)


def test_an_estimator_of_a_pipeline_looks_at_a_part_if_the_whole_is_too_large(monkeypatch):
    """The estimator looks at the most textured part; the rest of the image is flat."""
    estimator = load("model-based-x2").with_kernel_window(48)
    image = np.full((70, 90, 3), 0.5, np.float32)
    image[16:64, 24:72] = np.random.default_rng(0).random((48, 48, 3))
    part = np.asarray(estimator(image[None, 16:64, 24:72]).kernel)
    joined = pipeline(dataclasses.replace(estimator, kernel_window=None), load("dpir-tv"))
    whole = joined.tile_context(Pixels(image), kernel=None, iterations=1).kernel
    monkeypatch.setattr(tile_policy, "WHOLE", 70 * 90 - 1)
    monkeypatch.setattr(tile_policy, "KERNEL_WINDOW", 48)
    found = joined.tile_context(Pixels(image), kernel=None, iterations=1).kernel
    np.testing.assert_allclose(found, part, atol=1e-5)
    assert np.abs(found - whole).max() > 1e-3


def test_tiles_that_cannot_be_are_refused(model):
    for tile in (63, -1, 64.0, "64", True, None):
        with pytest.raises(DataError, match="a side of 64 or more"):
            restore_image(model, _scene(), tile=tile)


def test_a_code_stands_for_its_kernel():
    model, lr = from_bundle(tiny_bundle()), _scene()[None, :32, :32]
    found = model(lr, iterations=3)
    again = model(lr, kernel_code=found.kernel_code)
    np.testing.assert_allclose(again.kernel, found.kernel, atol=1e-6)
    np.testing.assert_allclose(again.sr, model(lr, iterations=4).sr, atol=1e-5)
    with pytest.raises(DataError, match="not both"):
        model(lr, kernel=found.kernel, kernel_code=found.kernel_code)
    with pytest.raises(DataError, match=r"shape \(1, 10\), got \(1, 9\)"):
        model(lr, kernel_code=found.kernel_code[:, :9])
