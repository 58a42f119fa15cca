"""Reports of an evaluation: scores as CSV, a summary as JSON, a page in Markdown, and plots."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import pathlib
import typing

from blindsr_jax.evaluation.methods import ORACLE
from blindsr_jax.evaluation.plots import draw_plots
from blindsr_jax.evaluation.protocols import S_FOLD_CIRCULAR
from blindsr_jax.evaluation.published import SET_SIZES, published_kernels, published_rows, set_name
from blindsr_jax.evaluation.scores import Row, group, mean_scores
from blindsr_jax.files import write_text


class _Column(typing.NamedTuple):
    """A score, the heading of its column, its decimal places, and its meaning."""

    score: str
    heading: str
    digits: int
    meaning: str


_COLUMNS = (
    _Column("psnr_y", "PSNR", 2, "dB on luma, higher is better"),
    _Column("ssim_y", "SSIM", 4, "structural similarity on luma, at most 1"),
    _Column("psnr_rgb", "PSNR RGB", 2, "dB on all three channels"),
    _Column("ssim_rgb", "SSIM RGB", 4, "the mean of the three channels"),
    _Column("bicubic_psnr_y", "bicubic PSNR", 2, "of bicubic interpolation"),
    _Column("bicubic_ssim_y", "bicubic SSIM", 4, "of bicubic interpolation"),
    _Column("kernel_l1", "kernel ℓ1", 3, "sum of the estimated kernel's errors, 0 to 2, lower is better"),
    _Column("kernel_psnr", "kernel PSNR", 2, "dB of the estimated kernel as an image"),
    _Column("code_l1", "code ℓ1", 3, "sum of the errors of the kernel's PCA code"),
    _Column("lr_psnr", "PSNR of LR remade", 2, "dB of the LR image that the estimated kernel makes of the HR image"),
    _Column(
        "lr_remade", "LR files remade", 5, "share of the test's LR pixels that its HR images and kernels make again"
    ),
    _Column("flat_residual", "flat residual", 2, "grain in the flattest tenth of the picture, levels of 255"),
    _Column("bicubic_flat_residual", "bicubic flat residual", 2, "of bicubic interpolation"),
    _Column("flat_ratio", "flat ratio", 2, "flat residual over bicubic's, below 1 is smoother; the geometric mean"),
    _Column("block_edges", "block edges", 2, "gradient energy at the borders of JPEG's blocks, 1 for no grid"),
    _Column("bicubic_block_edges", "bicubic block edges", 2, "of bicubic interpolation"),
    _Column("block_ratio", "block ratio", 2, "block edges over bicubic's, below 1 is less grid; the geometric mean"),
    _Column("seconds", "seconds", 2, "of a restoration here, without compiling if there are others; the median"),
    _Column("kernel_seconds", "kernel seconds", 2, "the part of them that estimates the kernel"),
)
_METHODS = {
    "blind": "the model with its own estimate of the blur",
    "true kernel": "the model with the true blur",
    "no kernel": "the model as if there were no blur",
    ORACLE: "for each image the step with the highest PSNR on RGB, which cannot be chosen without the truth",
    "bicubic": "bicubic interpolation",
}


def summarise(rows: list[Row], **facts: typing.Any) -> dict[str, typing.Any]:
    """Summarise an evaluation: its facts, then the mean scores of the first method over all images and blurs.

    Args:
      rows: rows of an evaluation.
      **facts: protocol, scale, model and other facts that the scores depend on.

    Returns:
      A JSON-ready dictionary. ``images`` counts test images, and ``rows`` counts images times blurs. If there are
      several methods, ``methods`` holds the mean scores of each.
    """
    methods = group(rows, "method")
    main = next(iter(methods.values()))
    infinite = sum(row.psnr_y is not None and not math.isfinite(row.psnr_y) for row in main)
    if infinite:
        facts["perfect_rows"] = infinite  # their PSNR is infinite, so the means leave them out
    summary = {**facts, "images": len(group(main, "image")), "rows": len(main), **mean_scores(main)}
    if len(methods) > 1:
        summary["methods"] = {name: mean_scores(members) for name, members in methods.items()}
    return summary


def write_report(folder: str | os.PathLike, rows: list[Row], summary: dict[str, typing.Any]) -> None:
    """Write ``report.csv``, ``report.json``, ``report.md`` and its plots into a folder, each atomically.

    Raises:
      DataError: a file cannot be written.
    """
    folder = pathlib.Path(folder)
    write_text(folder / "report.csv", _to_csv(rows))
    plots = draw_plots(folder, rows, f"{summary['protocol']} ×{summary['scale']}, {summary.get('data', '')}")
    write_text(folder / "report.md", to_markdown(rows, summary, plots))
    write_text(folder / "report.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")


def to_markdown(rows: list[Row], summary: dict[str, typing.Any], plots: typing.Sequence[str] = ()) -> str:
    """Format a report: the headline, the methods beside bicubic and the papers, then tables by blur and by image."""
    others = {"methods", "images", "rows", *mean_scores(rows)}
    facts = [f"- {key}: {value}" for key, value in summary.items() if key not in others]
    methods = group(rows, "method")
    main = next(iter(methods.values()))
    lines = [
        f"# {summary['protocol']}, ×{summary['scale']}",
        "",
        headline(summary) + ".",
        "",
        *facts,
        f"- rows: {len(main)}, of {len(group(main, 'image'))} images and {len(group(main, 'case'))} blurs or cases",
        "",
        *method_table(rows),
        "",
        *beside_published(rows, summary),
        *published_kernels_table(rows, summary),
        *(f"![{name}]({name})\n" for name in plots),
        *_table("blur", group(main, "case")),
        "",
        *_table("image", group(main, "image")),
        "",
        *_legend(rows),
    ]
    return "\n".join(lines) + "\n"


def tables(rows: list[Row], summary: dict[str, typing.Any]) -> list[list[str]]:
    """The tables that a terminal shows: the methods if there are several, and the papers' figures."""
    methods = method_table(rows) if "methods" in summary else []
    shown = [methods, beside_published(rows, summary), published_kernels_table(rows, summary)]
    return [table for table in shown if table]


def method_table(rows: list[Row]) -> list[str]:
    """Format the mean scores of each method and of bicubic interpolation as lines of a Markdown table.

    The rows ``true kernel`` and ``no kernel`` show how much knowing the kernel helps this network.
    """
    groups = group(rows, "method")
    restoring = [members for members in groups.values() if members[0].bicubic_psnr_y is not None]
    as_bicubic = [
        Row(
            *(row.image, row.case, row.sigma, "bicubic"),
            psnr_y=row.bicubic_psnr_y,
            ssim_y=row.bicubic_ssim_y,
            psnr_rgb=row.bicubic_psnr_rgb,
            ssim_rgb=row.bicubic_ssim_rgb,
        )
        for row in (restoring[0] if restoring else [])
    ]
    return _table("method", groups | ({"bicubic": as_bicubic} if as_bicubic else {}), leave_out="bicubic_")


def beside_published(rows: list[Row], summary: dict[str, typing.Any]) -> list[str]:
    """Format the papers' figures and ours as lines of a Markdown table; empty if nothing is published.

    If only a part of the test set was scored, the table says so, because its mean is not comparable.
    """
    published = published_rows(summary["protocol"], summary["scale"], str(summary.get("data", "")))
    if not published or _is_about_kernels(summary):
        return []
    whole = SET_SIZES[set_name(summary["protocol"], str(summary.get("data", "")))]
    part = "" if summary["images"] == whole else f"; ONLY {summary['images']} of {whole} images, not comparable"
    main = next(iter(group(rows, "method").values()))
    measured = {"all": main} if published[0].case == "all" else group(main, "case")
    lines = ["| method | blur | PSNR | SSIM | source |", "|---|---|---:|---:|---|"]
    for case, members in measured.items():
        means = mean_scores(members)
        for name, kind in ((summary.get("model", "this model"), ""), ("bicubic", "bicubic_")):
            psnr, ssim = means[f"{kind}psnr_y"], means[f"{kind}ssim_y"]
            if psnr is not None:
                lines.append(f"| **{name}** | {case} | **{psnr:.2f}** | **{ssim:.4f}** | measured here{part} |")
        for row in published:
            if row.case == case:
                ssim_text = "" if row.ssim_y is None else f"{row.ssim_y:.4f}"
                lines.append(f"| {row.method} | {case} | {row.psnr_y:.2f} | {ssim_text} | {row.source} |")
    return [*lines, ""]


_ABOUT_ITS_TABLE = (
    "KernelNet's table 2, ×{scale}, for comparison: its kernels come from a camera and are not public, and its test "
    "images are different, so only the order of the methods is comparable, not the figures."
)


def published_kernels_table(rows: list[Row], summary: dict[str, typing.Any]) -> list[str]:
    """Format KernelNet's table 2 in Markdown lines for s-fold reports of kernel estimators; empty for others."""
    estimated = any(row.kernel_seconds is not None for row in rows)
    published = published_kernels(summary["scale"])
    if not estimated or not published or not summary["protocol"].startswith(S_FOLD_CIRCULAR):
        return []
    lines = ["| method | kernel ℓ1 | PSNR, SSIM with USRNet | PSNR, SSIM with DPIR | kernel seconds |"]
    lines.append("|---|" + "---:|" * 4)
    for row in published:
        seconds = "" if row.kernel_seconds is None else f"{row.kernel_seconds:.2f}"
        usrnet, dpir = f"{row.psnr_usrnet:.2f}, {row.ssim_usrnet:.3f}", f"{row.psnr_dpir:.2f}, {row.ssim_dpir:.3f}"
        lines.append(f"| {row.method} | {row.kernel_l1:.3f} | {usrnet} | {dpir} | {seconds} |")
    return [_ABOUT_ITS_TABLE.format(scale=summary["scale"]), "", *lines, ""]


def headline(summary: dict[str, typing.Any]) -> str:
    """Format the protocol and the main scores of a summary in one line."""
    protocol = f"{summary['protocol']} ×{summary['scale']}"
    if summary["flat_ratio"] is not None:
        return (
            f"{protocol}: flat-area residual {summary['flat_ratio']:.2f} of bicubic's, "
            f"block edges {summary['block_ratio']:.2f} of bicubic's"
        )
    if _is_about_kernels(summary):
        methods = list(summary.get("methods", {}).items())[1:]
        errors = {name: scores["kernel_l1"] for name, scores in methods}
        others = ", ".join(f"{name} {error:.3f}" for name, error in errors.items() if error is not None)
        return f"{protocol}: kernel ℓ1 {summary['kernel_l1']:.3f}" + (f" ({others})" if others else "")
    scores = [summary["psnr_y"], summary["bicubic_psnr_y"]]
    if None in scores:
        return f"{protocol}: no finite PSNR"
    ours = f"{scores[0]:.2f} dB, SSIM {summary['ssim_y']:.4f}, {scores[0] - scores[1]:+.2f} dB against bicubic"
    return f"{protocol}: {ours}"


def score_of(summary: dict[str, typing.Any]) -> float | None:
    """The score that training selects a model by, higher is better: PSNR, or −kernel ℓ1 if it restores no images."""
    return -summary["kernel_l1"] if _is_about_kernels(summary) else summary["psnr_y"]


def _is_about_kernels(summary: dict[str, typing.Any]) -> bool:
    """Whether the model restored no images. A missing mean PSNR can also mean that all images are perfect."""
    return summary["psnr_y"] is None and "perfect_rows" not in summary and summary["kernel_l1"] is not None


def _table(heading: str, groups: dict[str, list[Row]], leave_out: str = "\0") -> list[str]:
    """Format the mean scores of each group as a line; columns without scores are left out."""
    means = {name: mean_scores(rows) for name, rows in groups.items()}
    columns = _columns_of(means.values(), leave_out)
    headings = " | ".join(column.heading for column in columns)
    lines = [f"| {heading} | {headings} |", "|---|" + "---:|" * len(columns)]
    for name, scores in means.items():
        cells = ["" if (x := scores[c.score]) is None else f"{x:.{c.digits}f}" for c in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _columns_of(means: typing.Iterable[dict[str, float | None]], leave_out: str = "\0") -> list[_Column]:
    known = [{name for name, score in scores.items() if score is not None} for scores in means]
    return [c for c in _COLUMNS if not c.score.startswith(leave_out) and any(c.score in names for names in known)]


def _legend(rows: list[Row]) -> list[str]:
    """Explain the methods and columns of a report."""
    restored = any(row.bicubic_psnr_y is not None or row.bicubic_flat_residual is not None for row in rows)
    methods = [*group(rows, "method"), *(["bicubic"] if restored else [])]
    known = [f"- *{name}*: {_METHODS[name]}" for name in methods if name in _METHODS]
    columns = _columns_of([mean_scores(rows)])
    return ["## Legend", "", *known, *(f"- **{c.heading}**: {c.meaning}" for c in columns)]


def _to_csv(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in dataclasses.fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in rows)
    return text.getvalue()
