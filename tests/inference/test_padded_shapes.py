import itertools
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from blindsr_jax.cli import main
from blindsr_jax.data.sources import open_source
from blindsr_jax.errors import DataError, OutOfMemory
from blindsr_jax.images.reading import image_size, read_rgb
from blindsr_jax.inference import model as model_module
from blindsr_jax.inference.loading import from_bundle, load
from blindsr_jax.inference.padded_shapes import GRID, few, shared_shapes, smallest
from blindsr_jax.inference.restore import restore_image
from blindsr_jax.weights.bundle import save_bundle
from tests.conftest import drilled
from tests.inference.conftest import tiny_bundle

ROOT = pathlib.Path(__file__).parents[2]
RNG = np.random.default_rng(0)


def _pixels(shapes, sizes):
    return sum(np.prod(smallest(shapes, size)) for size in sizes)


def test_sides_are_multiples_and_sizes_that_are_alike_share():
    assert few([(100, 130)], 3) == [(128, 160)]
    assert few([(321, 481), (320, 481), (330, 490), (64, 64)], 3) == [(64, 64), (320, 512), (352, 512)]
    assert few([], 3) == []


def test_portraits_and_landscapes_go_apart():
    sizes = [(480, 320)] * 5 + [(320, 480)] * 5 + [(448, 320), (320, 448)]
    assert few(sizes, 2) == [(320, 480), (480, 320)]
    assert few(sizes, 1) == [(480, 480)]


@pytest.mark.parametrize("seed", range(6))
def test_little_more_is_computed_than_with_the_best_three(seed):
    """Compare with every choice of three shapes whose sides occur."""
    sizes = [tuple(size) for size in GRID * np.random.default_rng(seed).integers(1, 12, (8, 2))]
    sides = [sorted({size[axis] for size in sizes}) for axis in (0, 1)]
    fitting = itertools.combinations(itertools.product(*sides), 3)
    best = min(_pixels(some, sizes) for some in fitting if all(smallest(some, size) for size in sizes))
    ours = few(sizes, 3)
    assert len(ours) <= 3
    assert _pixels(ours, sizes) <= 1.15 * best


def test_very_many_sizes():
    sizes = [tuple(size) for size in RNG.integers(1, 4000, (3000, 2))]
    shapes = few(sizes, 3)
    assert len(shapes) == 3 and all(smallest(shapes, size) for size in sizes)


def test_pictures_are_padded_only_if_their_sizes_are_too_many():
    """Tiles take two of the three programs."""
    sizes = [(700, 900), (100, 100), (700, 900), (640, 480)]
    assert shared_shapes(sizes, tiled=False) == []
    assert shared_shapes([*sizes, (90, 90)], tiled=False) == [(128, 128), (640, 480), (704, 928)]
    assert shared_shapes(sizes, tiled=True) == [(704, 928)]
    assert shared_shapes(sizes[:1], tiled=True) == shared_shapes([], tiled=True) == []
    assert shared_shapes([(90, 120)], tiled=False, turned=True) == []
    assert shared_shapes([(90, 120), (30, 60)], tiled=False, turned=True) == [(64, 64), (96, 128), (128, 96)]


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((20, 40), {"trace": True}),
        ((33, 10), {"trace": True}),
        ((20, 40), {"image_only": True}),
        ((33, 10), {"kernel": np.full((5, 5), 1 / 25)}),
        ((60, 60), {"kernel": np.full((5, 5), 1 / 25)}),
        drilled((33, 10), {"image_only": True}),
        drilled((20, 40), {"kernel": np.full((5, 5), 1 / 25)}),
        drilled((60, 60), {"trace": True}),
        drilled((60, 60), {"image_only": True}),
    ],
)
def test_a_model_that_pads_restores_the_same(model, size, options):
    """The last size fits in no shape."""
    padding = model.padded_to([(32, 40), (48, 64)])
    images = RNG.random((2, *size, 3), np.float32)
    got, want = padding(images, **options), model(images, **options)
    assert got.sr.shape == want.sr.shape
    np.testing.assert_allclose(got.sr, want.sr, atol=1e-5)
    for name in ("kernel", "kernel_code"):
        if getattr(want, name) is None:
            assert getattr(got, name) is None
        else:
            np.testing.assert_allclose(getattr(got, name), getattr(want, name), atol=1e-5)
    if want.trace:
        np.testing.assert_allclose(got.trace.sr, want.trace.sr, atol=1e-5)
    assert padding.fingerprint == model.fingerprint


@pytest.mark.parametrize(
    "options", [{"self_ensemble": True}, drilled({"tile": 64}), {"tile": 64, "tiles_at_once": 3}], ids=str
)
def test_turned_images_are_padded_as_well_and_tiles_alike(model, options):
    image = RNG.random((70, 97, 3), np.float32)
    got, want = (restore_image(one, image, **options) for one in (model.padded_to([(128, 128)]), model))
    np.testing.assert_allclose(got.image, want.image, atol=1e-5)
    np.testing.assert_allclose(got.kernel, want.kernel, atol=1e-5)


def test_a_shape_without_memory_is_given_up_for_the_image(monkeypatch):
    """``padded_to`` does not change the model itself."""
    model = from_bundle(tiny_bundle()).padded_to([(32, 32), (64, 64)])
    apply, shapes = model_module.apply, []

    def small_memory(module, variables, lr, *rest, **options):
        shapes.append(lr.shape[1:3])
        if lr.shape[1] > 40:
            raise OutOfMemory("too large")
        return apply(module, variables, lr, *rest, **options)

    monkeypatch.setattr(model_module, "apply", small_memory)
    assert model(np.zeros((1, 40, 30, 3))).sr.shape == (1, 80, 60, 3)
    assert model.shapes == ((32, 32), (64, 64))
    with pytest.raises(OutOfMemory):
        model(np.zeros((1, 50, 30, 3)))
    assert shapes == [(64, 64), (40, 30), (64, 64), (50, 30)]


def test_models_that_take_no_padding_say_so():
    with pytest.raises(DataError, match="FixedGaussian needs images of their own size"):
        load("fixed-gaussian-x2").padded_to([(32, 32)])


def test_earlier_names_of_methods_are_still_there(model):
    assert model.on_canvases([(32, 32)]).shapes == model.padded_to([(32, 32)]).shapes
    assert model.spread().rows == model.shard_rows().rows
    estimator = load("fixed-gaussian-x2")
    assert estimator.within(32).kernel_window == estimator.with_kernel_window(32).kernel_window == 32


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_sizes_from_headers_are_those_of_the_upright_image(tmp_path, suffix, orientation):
    path, exif = tmp_path / f"x.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(path, exif=exif)
    assert image_size(path) == read_rgb(path).shape[:2] == ((30, 20) if orientation >= 5 else (20, 30))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model and twenty crops of photographs with different sizes; two of them need tiles."""
    place = tmp_path_factory.mktemp("twenty")
    save_bundle(place / "tiny.safetensors", tiny_bundle())
    photos = [open_source("sample", split="validation").read(i) for i in range(2)]
    (place / "in").mkdir()
    sizes = {(150, 40), (30, 200)}
    while len(sizes) < 20:
        sizes.add(tuple(RNG.integers(4, 120, 2).tolist()))
    for i, (height, width) in enumerate(sorted(sizes)):
        Image.fromarray(photos[i % 2][200 : 200 + height, 300 : 300 + width]).save(place / "in" / f"{i:02}.png")
    return place


COUNTING = """
import sys, jax
compiled = []
jax.monitoring.register_event_duration_secs_listener(lambda event, seconds, **_: compiled.append(event))
from blindsr_jax.cli import main
code = main(sys.argv[1:])
print("compiled", code, compiled.count("/jax/core/compile/backend_compile_duration"))
"""


@pytest.mark.parametrize(
    "options",
    [
        ["--save-kernel"],
        drilled(["--self-ensemble"]),
        drilled(["--tile", "128"]),
        ["--tile", "128", "--tiles-at-once", "2"],
    ],
)
def test_pictures_of_many_sizes_take_three_programs(place, tmp_path, options):
    """In a new process, where nothing is compiled yet, count all compilations, even of small operations."""
    command = ["restore", place / "in", "-o", tmp_path / "out", "--model", place / "tiny.safetensors", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_ENABLE_COMPILATION_CACHE": "false"}
    run = [sys.executable, "-c", COUNTING, *map(str, command)]
    result = subprocess.run(run, capture_output=True, text=True, env=environment, check=True)
    name, code, count = result.stdout.splitlines()[-1].split()
    assert (name, code) == ("compiled", "0")
    assert 1 <= int(count) <= 3
    model = load(place / "tiny.safetensors")
    for source in sorted((place / "in").glob("*.png"))[4::11]:
        known = {"self_ensemble": "--self-ensemble" in options, "tile": 128 if "--tile" in options else "auto"}
        difference = np.int32(read_rgb(tmp_path / "out" / source.name)) - model.restore(read_rgb(source), **known)
        assert np.abs(difference).max() <= 1


def test_one_bad_file_plans_nothing(place, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.png").write_bytes(b"no image")
    command = ["restore", tmp_path / "in", "-o", tmp_path / "out", "--model", place / "tiny.safetensors"]
    assert main(list(map(str, command))) == 1
