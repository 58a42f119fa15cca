"""Restoring band by band gives the same pixels, in memory that does not grow with the height."""

import itertools
import logging
import tracemalloc

import numpy as np
import pytest

from blindsr_jax.errors import OutOfMemory
from blindsr_jax.images.reading import read_image
from blindsr_jax.images.writing import row_writer
from blindsr_jax.inference import memory
from blindsr_jax.inference.pixels import Pixels
from blindsr_jax.inference.restore import restore_bands, restore_image
from blindsr_jax.inference.tiling import MARGIN, Tiles
from tests.inference.repeating import Repeating

_KINDS = {
    "grey": ((90, 70), np.uint8),
    "grey and alpha": ((90, 70, 2), np.uint8),
    "colour": ((90, 70, 3), np.uint8),
    "transparent": ((90, 70, 4), np.uint8),
    "deep grey": ((90, 70), np.uint16),
}


@pytest.mark.parametrize("tile", ["auto", 64])
@pytest.mark.parametrize("kind", list(_KINDS))
def test_a_file_written_row_by_row_is_the_image_in_memory(model, tmp_path, kind, tile):
    shape, dtype = _KINDS[kind]
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)
    restoration = restore_bands(model, image, tile=tile)
    with row_writer(tmp_path / "x.png", restoration.shape, restoration.dtype) as write:
        for rows in restoration.bands:
            write(rows)
    whole = restore_image(model, image, tile=tile)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png").pixels, whole.image)
    np.testing.assert_array_equal(restoration.kernel, whole.kernel)


def test_memory_does_not_grow_with_the_height():
    """Images with two and eight times a tile's rows; about one row of tiles is in memory."""
    peaks = []
    for height in (128, 1024):
        image = np.zeros((height, 400, 3), np.uint8)
        tracemalloc.start()
        for rows in restore_bands(Repeating(), image, tile=64).bands:
            assert len(rows) <= 2 * 64
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 4 * (2 * 64) * (2 * 400) * 3 * 4


def test_rows_stay_when_tiles_have_to_shrink():
    """Memory that shrinks while the third row of tiles is restored."""

    class Shrinking(Repeating):
        calls = 0

        def __call__(self, lr, **options):
            self.calls += 1
            if self.calls > 8 and lr.shape[1] > 64:
                raise OutOfMemory("too large")
            return super().__call__(lr, **options)

    image, model = np.random.default_rng(0).random((500, 300, 3), np.float32), Shrinking(most=128 * 128)
    tiles = Tiles(model, Pixels(image), 128, kernel=None, iterations=None)
    bands = tiles.bands()
    early = [next(bands).copy() for _ in range(2)]
    calls = model.calls
    restored = np.concatenate([*early, *bands])
    assert calls < 9 < model.calls, "the first rows were there before memory became less"
    inside = np.s_[2 * MARGIN : -2 * MARGIN, 2 * MARGIN : -2 * MARGIN]
    np.testing.assert_allclose(restored[inside], image.repeat(2, 0).repeat(2, 1)[inside], atol=1e-6)


def test_an_image_that_does_not_fit_goes_into_tiles_by_itself(model, monkeypatch, caplog):
    """On a CPU only the compiler reports memory; the check is skipped if whole images are requested."""
    image = np.random.default_rng(0).random((300, 280, 3), np.float32)
    whole = restore_image(model, image, tile=0).image
    with memory.bounded():
        monkeypatch.setattr(memory, "available", lambda: 2**40)
        np.testing.assert_array_equal(restore_image(model, image).image, whole)
    monkeypatch.setattr(memory, "available", lambda: 12 * 2**20)
    with caplog.at_level(logging.INFO):
        tiled = restore_image(model, image).image
    assert "the whole image needs" in caplog.text and "restored in tiles" in caplog.text
    assert 0 < np.abs(tiled - whole).max() < 0.1
    np.testing.assert_array_equal(restore_image(model, image, tile=0).image, whole)
    monkeypatch.setattr(memory, "available", lambda: 2**10)
    with pytest.raises(OutOfMemory, match=r"GiB of memory where 0\.0 are free"):
        restore_image(model, image)


def test_a_container_may_have_less_memory_than_its_machine(tmp_path):
    if memory.available(tmp_path) is None:
        pytest.skip("this system does not say what memory is free")
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert memory.available(tmp_path) > 2**20
    (tmp_path / "memory.max").write_text("5000\n")
    assert memory.available(tmp_path) == 4000


def test_a_writer_that_is_left_early_leaves_no_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), row_writer(tmp_path / "x.png", (10, 10, 3), np.dtype(np.uint8)) as write:
        write(np.zeros((4, 10, 3), np.uint8))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg", ".webp"])
def test_bands_of_any_height_make_one_file(tmp_path, suffix):
    pixels = np.random.default_rng(0).integers(0, 255, (200, 33, 3), np.uint8)
    for name, edges in (("a", [0, 200]), ("b", [0, 1, 66, 67, 190, 200])):
        with row_writer(tmp_path / (name + suffix), pixels.shape, pixels.dtype) as write:
            for first, last in itertools.pairwise(edges):
                write(pixels[first:last])
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
