"""Reader for DIV2KRK (Bell-Kligler et al., NeurIPS 2019) and sets with its layout: HR, LR and true kernel files."""

from __future__ import annotations

import os
import pathlib

from blindsr_jax.data.pairs import PairedFiles
from blindsr_jax.errors import DataError
from blindsr_jax.images.folders import list_images


class Div2krkSource(PairedFiles):
    """Files ``gt/im_N.png``, ``lr_xS/im_N.png`` and ``gt_k_xS/kernel_N.mat``, paired by name or number.

    The other common naming, ``gt/img_N_gt.png``, works as well.

    Args:
      root: the folder that contains these three folders.
      scale: s.

    Raises:
      DataError: a folder is missing, or as ``PairedFiles``.
    """

    def __init__(self, root: str | os.PathLike, scale: int):
        root = pathlib.Path(root)
        for name in ("gt", f"lr_x{scale}"):
            if not (root / name).is_dir():
                raise DataError(
                    f"{root}: expected DIV2KRK's folders gt, lr_x{scale} and gt_k_x{scale}; {name} is missing"
                )
        kernels = root / f"gt_k_x{scale}"
        files = sorted(kernels.glob("*.mat")) if kernels.is_dir() else None
        super().__init__(list_images(root / "gt"), list_images(root / f"lr_x{scale}"), files, scale)
