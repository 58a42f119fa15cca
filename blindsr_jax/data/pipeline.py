"""The training stream: HR images → random patches → batches, as a tf.data pipeline that can start at any step.

The image, crop, flip and rotation of the n-th patch depend on (seed, n) alone. A resumed run therefore sees the same
patches as an uninterrupted one, and the global batches do not depend on the number of hosts.
"""

from __future__ import annotations

import functools
import logging
import threading
import typing

import numpy as np

from blindsr_jax.data.sources import Source
from blindsr_jax.data.tensorflow import import_tensorflow
from blindsr_jax.errors import DataError

_PATCHES_A_CALL = 8  # most patches that tf.data gets from one Python call
_TRIES = 3  # further crops of an image whose first crop was flat

log = logging.getLogger(__name__)


class ImageCache:
    """Cache of decoded images with a memory budget and no eviction.

    An image that no longer fits is decoded at every read. Each epoch reads every image once in random order, so a
    budget for a third of the images saves a third of the decoding; evicting the least recently used image would save a
    sixteenth. An image that cannot be decoded is logged once, and the next sound image takes its place.

    Args:
      source: the images.
      budget: memory for decoded images in bytes.
      smallest: least height and width in pixels; smaller images count as damaged.
    """

    def __init__(self, source: Source, budget: float, smallest: int):
        self._source, self._budget, self._smallest = source, budget, smallest
        self._images: dict[int, np.ndarray] = {}
        self._bytes = 0
        self._damaged: set[int] = set()
        self._lock = threading.Lock()

    def read(self, index: int) -> np.ndarray:
        """Image ``index``, or the next sound one: uint8 [H, W, 3]. Raises DataError if none can be read."""
        for step in range(len(self._source)):
            image = self._get((index + step) % len(self._source))
            if image is not None:
                return image
        raise DataError("none of the training images can be read; see the warnings above")

    def _get(self, index: int) -> np.ndarray | None:
        with self._lock:
            if index in self._damaged:
                return None
            if index in self._images:
                return self._images[index]
        try:
            image = self._source.read(index)
            if min(image.shape[:2]) < self._smallest:
                raise DataError(f"{self._source.names[index]}: smaller than {self._smallest} pixels")
        except DataError as error:
            with self._lock:
                if index not in self._damaged:
                    log.warning("left out %s", error)
                self._damaged.add(index)
            return None
        with self._lock:
            if index not in self._images and self._bytes + image.nbytes <= self._budget:
                self._images[index] = image
                self._bytes += image.nbytes
        return image


class PatchSampler:
    """Maps n to the n-th training patch of a run.

    Args:
      source: HR images.
      size: side of a patch in HR pixels.
      seed: seeds the order of images, the crops and the augmentation.
      augment: whether to apply random flips and 90° rotations.
      shrink_rate: the share of patches that are cropped at twice the size and downsampled by 2, which gives them finer
        detail than the images have. Images smaller than twice the patch are never shrunk.
      least_detail: a patch is cropped again from the same image, at most three times, if the standard deviation of each
        colour channel is smaller, on a scale of 255. So flat drawings do not dominate.
      cache_bytes: memory for decoded images.
    """

    def __init__(
        self,
        source: Source,
        size: int,
        *,
        seed: int,
        augment: bool,
        shrink_rate: float = 0.0,
        least_detail: float = 0.0,
        cache_bytes: float,
    ):
        self._visits = np.repeat(np.arange(len(source)), 1 if source.repeats is None else source.repeats)
        self._cache = ImageCache(source, cache_bytes, size)
        self._size, self._seed, self._augment, self._shrink_rate = size, seed, augment, shrink_rate
        self._least_detail = least_detail
        self._order = functools.lru_cache(maxsize=4)(self._order_of)

    def __call__(self, n: int) -> np.ndarray:
        """Patch n: uint8 [size, size, 3]. An epoch visits each image once, or as often as ``source.repeats`` says."""
        epoch, place = divmod(int(n), len(self._visits))
        image = self._cache.read(int(self._order(epoch)[place]))
        rng = np.random.default_rng([self._seed, 1, int(n)])
        shrunk = self._shrink_rate > 0 and rng.random() < self._shrink_rate and min(image.shape[:2]) >= 2 * self._size
        patch = _crop(image, 2 * self._size if shrunk else self._size, rng)
        tries = 0
        while self._least_detail and tries < _TRIES and patch.std(axis=(0, 1)).max() < self._least_detail:
            patch, tries = _crop(image, patch.shape[0], rng), tries + 1
        patch = _halved(patch) if shrunk else patch
        if self._augment:
            patch = np.rot90(patch, int(rng.integers(4)))
            patch = patch[:, ::-1] if rng.integers(2) else patch
        return _packed(patch)

    def _order_of(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, 0, epoch]).permutation(self._visits)


def _crop(image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    top = rng.integers(image.shape[0] - side + 1)
    left = rng.integers(image.shape[1] - side + 1)
    return image[top : top + side, left : left + side]


def _halved(image: np.ndarray) -> np.ndarray:
    """Rounded means of blocks of 2×2 pixels."""
    rows = image[::2].astype(np.uint16) + image[1::2]
    return ((rows[:, ::2] + rows[:, 1::2] + 2) // 4).astype(np.uint8)


def _packed(patch: np.ndarray) -> np.ndarray:
    """A contiguous copy. Copying one channel at a time takes a third of the time for a rotated patch."""
    copy = np.empty(patch.shape, patch.dtype)
    for channel in range(patch.shape[-1]):
        copy[..., channel] = patch[..., channel]
    return copy


def patch_batches(
    sampler: typing.Callable[[int], np.ndarray],
    *,
    size: int,
    batch_size: int,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    workers: int = 0,
) -> typing.Generator[np.ndarray, None, None]:
    """Yield this process's share of each global batch, without end.

    Args:
      sampler: maps n to patch n, uint8 [size, size, 3].
      size: side of a patch.
      batch_size: size of the global batch, a multiple of ``process_count``.
      start_step: number of the first batch.
      process_index, process_count: index of this process and number of processes.
      workers: threads that cut patches; 0 lets tf.data choose.

    Yields:
      uint8 [batch_size / process_count, size, size, 3].

    Raises:
      DataError: raised by the sampler.
    """
    tf = import_tensorflow()
    errors: list[DataError] = []

    share = batch_size // process_count
    offset = process_index * share
    together = max(n for n in range(1, _PATCHES_A_CALL + 1) if share % n == 0)

    def patches_from(first: typing.Any) -> np.ndarray:
        patches = np.empty((together, size, size, 3), np.uint8)
        try:
            for i in range(together):
                patches[i] = sampler(first + i)
        except DataError as error:  # TensorFlow would replace it by an error of another type
            errors.append(error)
        return patches

    def numbers_of(step: typing.Any) -> typing.Any:
        first = step * batch_size + offset
        return tf.data.Dataset.range(first, first + share, together)

    def cut(first: typing.Any) -> typing.Any:
        patches = tf.numpy_function(patches_from, [first], tf.uint8, stateful=False)
        return tf.ensure_shape(patches, (together, size, size, 3))

    dataset = (
        tf.data.Dataset.range(start_step, np.iinfo(np.int64).max // batch_size)
        .flat_map(numbers_of)
        .map(cut, num_parallel_calls=workers or tf.data.AUTOTUNE, deterministic=True)
        .batch(share // together, drop_remainder=True)
        .prefetch(2)
    )
    for batch in dataset.as_numpy_iterator():
        if errors:
            raise errors[0]
        yield batch.reshape(share, size, size, 3)
