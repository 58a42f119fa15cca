"""Plots of an evaluation: scores against the number of unfolded steps and against the width of the blur."""

from __future__ import annotations

import pathlib
import typing

from matplotlib.figure import Figure

from blindsr_jax.evaluation.scores import Row, group, mean_scores
from blindsr_jax.files import atomic_path

_STEPS, _WIDTHS = "steps.png", "widths.png"


def draw_plots(folder: pathlib.Path, rows: list[Row], title: str) -> list[str]:
    """Draw the plots that the rows have data for: ``steps.png`` of a sweep (DAN's figure 6), ``widths.png`` (figure 5).

    Args:
      folder: folder to write the plots to.
      rows: rows of an evaluation.
      title: title of each plot; it names protocol, scale and data.

    Returns:
      The names of the files.

    Raises:
      DataError: a file cannot be written.
    """
    written = []
    for name, draw in ((_STEPS, _over_steps), (_WIDTHS, _over_widths)):
        figure = draw(rows)
        if figure is not None:
            figure.suptitle(title)
            with atomic_path(folder / name) as temporary:
                figure.savefig(temporary, dpi=110)
            written.append(name)
    return written


def _over_steps(rows: list[Row]) -> Figure | None:
    """Plot PSNR and the kernel's error, if the model estimates one, against the number of unfolded steps."""
    steps = {
        int(name.removeprefix("T = ")): mean_scores(members)
        for name, members in group(rows, "method").items()
        if name.startswith("T = ")
    }
    if len(steps) < 2:
        return None
    errors = {t: scores["kernel_l1"] for t, scores in steps.items() if scores["kernel_l1"] is not None}
    figure, axes = _axes(2 if errors else 1, "unfolded steps T")
    axes[0].plot(list(steps), [scores["psnr_y"] for scores in steps.values()], "o-", label="this model")
    axes[0].axhline(steps[1]["bicubic_psnr_y"], linestyle="--", color="grey", label="bicubic")
    axes[0].set_ylabel("PSNR on luma, dB")
    axes[0].legend()
    if errors:
        axes[1].plot(list(errors), list(errors.values()), "o-", color="C1")
        axes[1].set_ylabel("kernel error, ℓ1")
        axes[1].set_ylim(bottom=0)
    for axis in axes:
        axis.set_xticks(list(steps))
    return figure


def _over_widths(rows: list[Row]) -> Figure | None:
    """Plot PSNR of each method, and the errors of kernel and code, against the width of a round Gaussian blur.

    Models that restore no images have only the errors.
    """
    methods = {name: members for name, members in group(rows, "method").items() if not name.startswith("T = ")}
    main = next(iter(methods.values()))
    widths = sorted({row.sigma for row in main if row.sigma is not None})
    if len(widths) < 2:
        return None
    restored, estimated = (_curve(main, widths, score) for score in ("psnr_y", "kernel_l1"))
    if not restored and not estimated:
        return None
    figure, axes = _axes(bool(restored) + bool(estimated), "width σ of the blur, HR pixels")
    if restored:
        for name, members in methods.items():
            axes[0].plot(*_curve(members, widths, "psnr_y"), "o-", label=name)
        axes[0].plot(*_curve(main, widths, "bicubic_psnr_y"), "o--", color="grey", label="bicubic")
        axes[0].set_ylabel("PSNR on luma, dB")
    if estimated:
        axes[-1].plot(*estimated, "o-", label="kernel")
        code = _curve(main, widths, "code_l1")
        if code:
            axes[-1].plot(*code, "s-", label="PCA code")
        axes[-1].set_ylabel("ℓ1 error of the estimate")
        axes[-1].set_ylim(bottom=0)
    for axis in axes:
        axis.legend()
    return figure


def _curve(rows: list[Row], widths: list[float], score: str) -> tuple[list[float], list[float]] | tuple[()]:
    """Widths and mean scores; empty if no row has the score."""
    by_width = group(rows, "sigma")
    values = {width: mean_scores(by_width.get(width, []))[score] for width in widths}
    known = {width: value for width, value in values.items() if value is not None}
    return (list(known), list(known.values())) if known else ()


def _axes(count: int, label: str) -> tuple[Figure, list[typing.Any]]:
    figure = Figure(figsize=(5.2 * count, 3.8), layout="constrained")
    axes = list(figure.subplots(1, count, squeeze=False)[0])
    for axis in axes:
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    return figure, axes
