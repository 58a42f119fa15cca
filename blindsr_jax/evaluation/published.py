"""Published figures of the papers, for comparison where protocol, scale and test set are the same."""

from __future__ import annotations

import csv
import functools
import pathlib
import typing

_FOLDER = pathlib.Path(__file__).parent / "published"
# Number of images in each test set of the tables.
SET_SIZES = {"set5": 5, "set14": 14, "bsd100": 100, "urban100": 100, "manga109": 109, "div2krk": 100}


class Published(typing.NamedTuple):
    """One entry of a table: PSNR in dB and SSIM on luma (None if the table has none), and the table as its source."""

    method: str
    case: str
    psnr_y: float
    ssim_y: float | None
    source: str


def published_rows(protocol: str, scale: int, data: str) -> list[Published]:
    """Look up the published figures of a protocol, scale and test set, in the order of their tables.

    Args:
      protocol: name of a protocol, such as ``gaussian8``.
      scale: s.
      data: name of the test set, in upper or lower case.

    Returns:
      The figures; empty if nothing is published.
    """
    data = set_name(protocol, data)
    rows = []
    for row in _read(protocol):
        if int(row["scale"]) != scale:
            continue
        if protocol == "gaussian8" and row.get(f"{data}_psnr"):  # some papers leave a test set out
            psnr, ssim = float(row[f"{data}_psnr"]), float(row[f"{data}_ssim"])
            rows.append(Published(row["method"], "all", psnr, ssim, row["source"]))
        elif protocol == "div2krk":
            rows.append(Published(row["method"], "all", float(row["psnr_y"]), float(row["ssim_y"]), row["source"]))
        elif row.get("dataset") == data:
            case = row.get("case") or f"σ={float(row['width']):.2f}"
            rows.append(Published(row["method"], case, float(row["psnr_y"]), None, row["source"]))
    return rows


class PublishedKernels(typing.NamedTuple):
    """A row of KernelNet's table 2: mean ℓ1 of the kernels, PSNR in dB and SSIM of two solvers that use them, seconds.

    ``kernel_seconds`` is None if the table gives no time.
    """

    method: str
    kernel_l1: float
    psnr_usrnet: float
    ssim_usrnet: float
    psnr_dpir: float
    ssim_dpir: float
    kernel_seconds: float | None


def published_kernels(scale: int) -> list[PublishedKernels]:
    """The rows of KernelNet's table 2 at one scale, in its order; empty for scales that it does not have."""
    return [
        PublishedKernels(
            row["method"],
            float(row["kernel_l1"]),
            psnr_usrnet=float(row["psnr_with_usrnet"]),
            ssim_usrnet=float(row["ssim_with_usrnet"]),
            psnr_dpir=float(row["psnr_with_dpir"]),
            ssim_dpir=float(row["ssim_with_dpir"]),
            kernel_seconds=float(row["kernel_seconds"]) if row["kernel_seconds"] else None,
        )
        for row in _read("kernelnet")
        if int(row["scale"]) == scale
    ]


def set_name(protocol: str, data: str) -> str:
    """The name of a test set in the tables. The protocol div2krk has a single test set, whatever its folder's name."""
    return "div2krk" if protocol == "div2krk" else data.lower()


@functools.cache
def _read(protocol: str) -> list[dict[str, str]]:
    path = _FOLDER / f"{protocol}.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
