"""TensorFlow and tensorflow-datasets, imported when they are first needed: restoring does without them."""

from __future__ import annotations

import os
import typing

from blindsr_jax.errors import DataError


def import_tensorflow() -> typing.Any:
    """TensorFlow without its start-up chatter, and kept off the accelerators, which are JAX's."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # it only cuts patches here; on, it prints at every start
    try:
        import tensorflow as tf
    except ImportError:
        raise DataError("training needs TensorFlow for its data pipeline: pip install 'blindsr_jax[train]'") from None
    tf.config.set_visible_devices([], "GPU")
    return tf


def import_tfds() -> typing.Any:
    """tensorflow-datasets, when it is needed. Raises DataError where it is not installed."""
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise DataError("this needs tensorflow-datasets: pip install 'blindsr_jax[train]'") from None
    return tfds
