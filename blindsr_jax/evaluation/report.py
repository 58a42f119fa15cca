"""Rows to reports: a CSV line per image, a JSON summary, and a Markdown page to read."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import pathlib
import typing

import numpy as np

from blindsr_jax.evaluation.published import SET_SIZES, published_rows
from blindsr_jax.evaluation.run import Row
from blindsr_jax.files import write_text

_SCORES = ("psnr_y", "ssim_y", "bicubic_psnr_y", "bicubic_ssim_y", "kernel_l1", "code_l1", "seconds")


def summarise(rows: list[Row], **facts: typing.Any) -> dict[str, typing.Any]:
    """Means over all rows, with the facts that give them meaning (protocol, scale, …) first.

    Returns:
      A JSON-ready dictionary; ``images`` counts test images, ``rows`` images times blurs.
    """
    infinite = sum(not math.isfinite(row.psnr_y) for row in rows)
    if infinite:
        facts["perfect_rows"] = infinite  # without any error, hence without a finite PSNR: not in the means
    means = {name: _mean(getattr(row, name) for row in rows) for name in _SCORES}
    return {**facts, "images": len({row.image for row in rows}), "rows": len(rows), **means}


def write_report(folder: str | os.PathLike, rows: list[Row], summary: dict[str, typing.Any]) -> None:
    """Writes ``report.csv``, ``report.json`` and ``report.md`` into a folder, each atomically.

    Raises:
      DataError: a file cannot be written.
    """
    folder = pathlib.Path(folder)
    write_text(folder / "report.csv", _to_csv(rows))
    write_text(folder / "report.md", to_markdown(rows, summary))
    write_text(folder / "report.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")


def to_markdown(rows: list[Row], summary: dict[str, typing.Any]) -> str:
    """A page with the mean scores beside bicubic's, then a line per blur and a line per image."""
    title = f"# {summary['protocol']}, ×{summary['scale']}"
    facts = [f"- {key}: {value}" for key, value in summary.items() if key not in _SCORES]
    lines = [
        title,
        "",
        headline(summary) + ".",
        "",
        *facts,
        "",
        *_table("mean", {"all": rows}),
        "",
        *beside_published(rows, summary),
        *_table("blur", _group(rows, "case")),
        "",
        *_table("image", _group(rows, "image")),
    ]
    return "\n".join(lines) + "\n"


def beside_published(rows: list[Row], summary: dict[str, typing.Any]) -> list[str]:
    """A Markdown table of the papers' figures with ours among them, as lines; empty where nothing is published.

    A test set of which only a part was scored is marked: its mean does not compare with a whole set's.
    """
    data = str(summary.get("data", ""))
    published = published_rows(summary["protocol"], summary["scale"], data)
    if not published:
        return []
    whole = SET_SIZES[data.lower()]
    part = "" if summary["images"] == whole else f"; ONLY {summary['images']} of {whole} images, not comparable"
    measured = {"all": rows} if published[0].case == "all" else _group(rows, "case")
    lines = ["| method | blur | PSNR | SSIM | source |", "|---|---|---:|---:|---|"]
    for case, members in measured.items():
        for name, kind in ((summary.get("model", "this model"), ""), ("bicubic", "bicubic_")):
            psnr, ssim = (_mean(getattr(row, f"{kind}{score}") for row in members) for score in ("psnr_y", "ssim_y"))
            if psnr is not None:
                lines.append(f"| **{name}** | {case} | **{psnr:.2f}** | **{ssim:.4f}** | measured here{part} |")
        for row in published:
            if row.case == case:
                ssim_text = "" if row.ssim_y is None else f"{row.ssim_y:.4f}"
                lines.append(f"| {row.method} | {case} | {row.psnr_y:.2f} | {ssim_text} | {row.source} |")
    return [*lines, ""]


def headline(summary: dict[str, typing.Any]) -> str:
    """The scores of a summary in one line, the protocol named."""
    scores = [summary["psnr_y"], summary["bicubic_psnr_y"]]
    if None in scores:
        return f"{summary['protocol']} ×{summary['scale']}: no finite PSNR"
    ours = f"{scores[0]:.2f} dB, SSIM {summary['ssim_y']:.4f}, {scores[0] - scores[1]:+.2f} dB against bicubic"
    return f"{summary['protocol']} ×{summary['scale']}: {ours}"


def _table(heading: str, groups: dict[str, list[Row]]) -> list[str]:
    head = ["PSNR", "SSIM", "bicubic PSNR", "bicubic SSIM", "kernel ℓ1", "code ℓ1", "seconds"]
    digits = [2, 4, 2, 4, 3, 3, 2]
    lines = [f"| {heading} | " + " | ".join(head) + " |", "|---|" + "---:|" * len(head)]
    for name, rows in groups.items():
        values = [_mean(getattr(row, score) for row in rows) for score in _SCORES]
        cells = ["" if v is None else f"{v:.{d}f}" for v, d in zip(values, digits)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _group(rows: list[Row], field: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(getattr(row, field), []).append(row)
    return groups


def _mean(values: typing.Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.mean(known)) if known else None


def _to_csv(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in dataclasses.fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in rows)
    return text.getvalue()
