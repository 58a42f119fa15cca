import itertools
import logging

import numpy as np
import pytest

from blindsr_jax.data.pipeline import ImageCache, PatchSampler, patch_batches
from blindsr_jax.errors import DataError


class _Numbered:
    """A source whose pixels encode image, row and column."""

    repeats = None

    def __init__(self, count=5, side=24, damaged=()):
        self.names = [f"image{i}" for i in range(count)]
        self._side, self._damaged = side, damaged
        self.reads = []

    def __len__(self):
        return len(self.names)

    def read(self, index):
        self.reads.append(index)
        if index in self._damaged:
            raise DataError(f"{self.names[index]}: damaged")
        rows, columns = np.mgrid[: self._side, : self._side]
        return np.stack([np.full_like(rows, index), rows, columns], axis=-1).astype(np.uint8)


def _sampler(source=None, size=8, **options):
    defaults = {"seed": 3, "augment": True, "cache_bytes": 1e6}
    return PatchSampler(source or _Numbered(), size, **defaults | options)


def _take(count, sampler=None, **options):
    batches = patch_batches(sampler or _sampler(), size=8, **{"batch_size": 4} | options)
    return np.stack(list(itertools.islice(batches, count)))


def test_every_image_once_in_each_epoch():
    sampler = _sampler()
    for epoch in range(3):
        seen = [int(sampler(epoch * 5 + i)[0, 0, 0]) for i in range(5)]
        assert sorted(seen) == [0, 1, 2, 3, 4]
    orders = {tuple(int(sampler(e * 5 + i)[0, 0, 0]) for i in range(5)) for e in range(6)}
    assert len(orders) > 1


def test_a_patch_depends_on_seed_and_number_alone():
    np.testing.assert_array_equal(_sampler()(17), _sampler(_Numbered(), cache_bytes=0)(17))
    assert any(not np.array_equal(_sampler(seed=4)(n), _sampler()(n)) for n in range(3))


def test_patches_are_whole_crops_with_all_eight_turns():
    sampler = _sampler(size=8)
    turns = set()
    for n in range(200):
        patch = sampler(n).astype(int)
        assert patch.shape == (8, 8, 3)
        step_down, step_right = patch[1, 0, 1:] - patch[0, 0, 1:], patch[0, 1, 1:] - patch[0, 0, 1:]
        assert sorted(abs(step_down)) == sorted(abs(step_right)) == [0, 1]
        turns.add((*step_down, *step_right))
    assert len(turns) == 8
    plain = _sampler(augment=False)(0).astype(int)
    np.testing.assert_array_equal(plain[1, 0] - plain[0, 0], [0, 1, 0])


def test_some_patches_are_cut_twice_as_large_and_shrunk():
    plain, shrinking = _sampler(augment=False), _sampler(augment=False, shrink_rate=0.3)
    steps = [shrinking(n).astype(int)[:, 0, 1] for n in range(300)]
    halved = [n for n, rows in enumerate(steps) if (np.diff(rows) == 2).all()]
    assert all((np.diff(rows) == 1).all() for n, rows in enumerate(steps) if n not in halved)
    assert 60 < len(halved) < 120
    first = shrinking(halved[0]).astype(int)[0, 0, 1:]
    assert (first >= 1).all(), "means of rows and columns 0 and 1, rounded up, are the least"
    np.testing.assert_array_equal(_sampler(shrink_rate=0.0)(7), _sampler()(7))
    too_small = _sampler(size=20, augment=False, shrink_rate=1.0)(0).astype(int)[:, 0, 1]
    assert (np.diff(too_small) == 1).all() and len(plain(0)) == 8


def test_crops_reach_every_corner():
    corners = {tuple(_sampler(augment=False)(n)[0, 0, 1:]) for n in range(1500)}
    rows, columns = zip(*corners)
    assert (min(rows), max(rows), min(columns), max(columns)) == (0, 16, 0, 16)


@pytest.mark.slow
def test_stream_starts_anywhere():
    whole = _take(6)
    np.testing.assert_array_equal(_take(3, start_step=3), whole[3:])
    assert whole.shape == (6, 4, 8, 8, 3)
    assert whole.dtype == np.uint8


@pytest.mark.slow
@pytest.mark.parametrize(("count", "batch"), [(2, 4), (4, 4), (2, 24), (4, 44)])
def test_processes_share_the_same_global_batches(count, batch):
    """This includes a share of 12 patches, cut in two calls of 6, and one of 11, cut in calls of one."""
    whole = _take(3, batch_size=batch)
    parts = [_take(3, process_index=i, process_count=count, workers=2, batch_size=batch) for i in range(count)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    sampler = _sampler()
    np.testing.assert_array_equal(whole.reshape(-1, 8, 8, 3), [sampler(n) for n in range(3 * batch)])


def test_damaged_images_are_named_once_and_replaced(caplog):
    source = _Numbered(damaged=(1, 2))
    cache = ImageCache(source, 1e6, smallest=8)
    with caplog.at_level(logging.WARNING):
        assert cache.read(1)[0, 0, 0] == 3
        assert cache.read(2)[0, 0, 0] == 3
    assert caplog.text.count("image1: damaged") == 1
    assert source.reads.count(3) == 1


def test_nothing_readable_is_an_error():
    with pytest.raises(DataError, match="none of the training images"):
        ImageCache(_Numbered(damaged=range(5)), 1e6, smallest=8).read(0)
    with pytest.raises(DataError, match="none of the training images"):
        ImageCache(_Numbered(side=6), 1e6, smallest=8).read(0)


def test_cache_keeps_its_budget():
    source = _Numbered()
    cache = ImageCache(source, budget=2.5 * 24 * 24 * 3, smallest=8)
    for index in (0, 1, 2, 0, 2, 1, 2):
        cache.read(index)
    assert source.reads == [0, 1, 2, 2, 2]  # the first images stay cached


def test_of_a_budget_for_a_third_a_third_of_the_reads_gain():
    """Each epoch reads every image once, in any order; a third of the reads are from the cache."""
    source = _Numbered(count=30)
    sampler = _sampler(source, cache_bytes=10 * 24 * 24 * 3)
    for n in range(4 * 30):
        sampler(n)
    assert len(source.reads) == 30 + 3 * 20


class _HalfFlat(_Numbered):
    """Images with red on the left and noise on the right."""

    def read(self, index):
        image = np.random.default_rng(index).integers(0, 256, (40, 80, 3), np.uint8)
        image[:, :60] = 255, 0, 0
        return image


def test_flat_patches_are_cut_again_elsewhere():
    def share_of_flat(**options):
        sampler = _sampler(_HalfFlat(), size=8, augment=False, **options)
        return np.mean([sampler(n).std(axis=(0, 1)).max() == 0 for n in range(400)])

    once = share_of_flat()  # at 53 of 73 positions
    assert abs(once - 53 / 73) < 0.08
    assert abs(share_of_flat(least_detail=5.0) - (53 / 73) ** 4) < 0.08, "four tries, also where all is one colour"
    all_flat = _sampler(_HalfFlat(), size=8, augment=False, least_detail=200.0)(0)
    assert all_flat.shape == (8, 8, 3)
    np.testing.assert_array_equal(_sampler(least_detail=0.0)(7), _sampler()(7))
