"""Colours of invisible pixels. A network sees them and would spread them into the visible pixels beside them."""

from __future__ import annotations

import numpy as np
import scipy  # scipy imports its submodules at first use

_BAND, _REACH = 256, 64  # rows filled at once; rows above and below them that are searched for visible pixels


def with_visible_colours(image: np.ndarray) -> np.ndarray:
    """Give each fully transparent pixel the colour of the nearest pixel with alpha above zero.

    The image is filled in bands of ``_BAND`` rows. A band without a visible pixel within ``_REACH`` rows, farther than
    any network sees, gets the mean colour of all visible pixels.

    Args:
      image: [H, W, 2] or [H, W, 4] with alpha last, integers or floating point; not modified.

    Returns:
      A filled copy; ``image`` itself if all of its pixels are visible, or none.
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
