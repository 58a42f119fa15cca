"""Lazy imports of TensorFlow and tensorflow-datasets, which restoration does not need."""

from __future__ import annotations

import os
import typing

from blindsr_jax.errors import DataError
from blindsr_jax.lazy import how_to_install


def import_tensorflow() -> typing.Any:
    """Import TensorFlow without its start-up messages. It sees no GPUs: they belong to JAX.

    Raises:
      DataError: TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN prints at every start, and tf.data has no use for it
    try:
        import tensorflow as tf
    except ImportError:
        raise DataError(f"training needs TensorFlow for its data pipeline: {how_to_install('train')}") from None
    tf.config.set_visible_devices([], "GPU")
    return tf


def import_tfds() -> typing.Any:
    """Import tensorflow-datasets. Raises DataError if it is not installed."""
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise DataError(f"this needs tensorflow-datasets: {how_to_install('train')}") from None
    return tfds
