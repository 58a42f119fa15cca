"""Colours where nobody sees them: a network does, and would draw them into what is visible beside them."""

from __future__ import annotations

import numpy as np
import scipy  # brings in its parts when they are first used

_BAND, _REACH = 256, 64  # rows filled at once; rows above and below that are looked at for visible pixels


def with_visible_colours(image: np.ndarray) -> np.ndarray:
    """The image with the colours of fully transparent pixels taken from the nearest pixel that is visible at all.

    Bands are filled one by one: where nothing is visible within ``_REACH`` rows of a band, a pixel that is farther than
    any network sees, its mean colour over the visible pixels stands. An image without such pixels is returned as it is.

    Args:
      image: [H, W, 2] or [H, W, 4] with alpha last, integers or floating point; it is left as it is.
    """
    visible = image[..., -1] > 0
    if visible.all() or not visible.any():
        return image
    result = image.copy()
    for top in range(0, len(image), _BAND):
        first, last = max(top - _REACH, 0), min(top + _BAND + _REACH, len(image))
        seen, hidden = visible[first:last], ~visible[top : top + _BAND]
        if not hidden.any():
            continue
        band = result[top : top + _BAND, ..., :-1]
        if not seen.any():
            band[hidden] = image[..., :-1].mean(axis=(0, 1), where=visible[..., None]).astype(image.dtype)
            continue
        nearest = scipy.ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
        rows, columns = (index[top - first :][: len(hidden)][hidden] for index in nearest)
        band[hidden] = image[first + rows, columns, :-1]
    return result
