"""Model cards: the purpose of a packaged model, its failures, its recipe and its scores."""

from __future__ import annotations

import dataclasses
import typing

from blindsr_jax.errors import WeightsError
from blindsr_jax.evaluation.published import published_rows
from blindsr_jax.weights.bundle import Bundle, load_bundle
from blindsr_jax.weights.zoo import LEARNING, PACKAGED, WITHOUT_WEIGHTS, count_parameters, models, packaged_path

_COMPARED = "DANv1"  # the published method to compare with
_NO_SCORE = "–"
_HEADLINES = {  # the README's rows: protocol and test set of each model
    "dan-lite-x2": ("gaussian8", "Set14"),
    "dan-lite-x3": ("gaussian8", "Set14"),
    "dan-lite-x4": ("gaussian8", "Set14"),
    "dan-lite-noise-x4": ("gaussian8_noise15", "Set14"),
}


def card(name: str) -> str:
    """Format the card of a packaged model in Markdown: its text, its recipe, and its scores beside the paper's.

    Args:
      name: one of ``models()``, or of a model without weights.

    Raises:
      WeightsError: there is no such model.
    """
    path, others = packaged_path(name), WITHOUT_WEIGHTS | LEARNING
    if name in others:
        return f"{others[name][0]}. It has no weights.\n"
    if path is None:
        raise WeightsError(f"{name}: no packaged model; there are {', '.join(models())}")
    bundle = load_bundle(path)
    scores = score_table([(name, bundle)])
    return "\n".join([*_text_and_facts(name, bundle), *(["", *scores] if scores else [])]) + "\n"


def cards() -> str:
    """Format a page of all packaged models: a table of all scores, then text and recipe of each model."""
    bundles = [(name, load_bundle(PACKAGED / f"{name}.safetensors")) for name in models()]
    lines = [
        "# Packaged weights",
        "",
        "The purpose, the limits, the recipe and the scores of each packaged model. `blindsr models NAME` prints them.",
        "`python docs/make.py pages` makes this page from the model files.",
        "",
        "## Scores",
        "",
        "PSNR in dB and SSIM on luma, as means over all images and blurs of a protocol ([protocols](protocols.md)).",
        "*True kernel* is the same network with the true blur. A mean of 6 of DIV2KRK's 100 images compares with no",
        "paper's.",
        "",
        *score_table(bundles),
    ]
    for name, bundle in bundles:
        lines += ["", f"## {name}", *_text_and_facts(name, bundle)[1:]]
    return "\n".join(lines) + "\n"


def headline_table() -> list[str]:
    """Format the README's table as lines of Markdown: one row for each DAN for round blurs."""
    bundles = []
    for name, row in _HEADLINES.items():
        bundle = load_bundle(PACKAGED / f"{name}.safetensors")
        kept = [entry for entry in bundle.metadata["evaluations"] if (entry["protocol"], entry["data"]) == row]
        bundles.append((name, dataclasses.replace(bundle, metadata={"evaluations": kept})))
    return score_table(bundles)


def _text_and_facts(name: str, bundle: Bundle) -> list[str]:
    text = (PACKAGED / f"{name}.md").read_text(encoding="utf-8").strip()
    facts = [f"| {key} | {value} |" for key, value in _facts(bundle).items()]
    return [f"# {name}", "", text, "", "| | |", "|---|---|", *facts]


def score_table(bundles: typing.Sequence[tuple[str, Bundle]]) -> list[str]:
    """Format the evaluations that bundles hold as lines of a Markdown table; empty if they hold none.

    Scores are PSNR on luma in dB, and SSIM, as means over all images and blurs of a protocol.

    Args:
      bundles: names and bundles.
    """
    rows = [(name, entry) for name, bundle in bundles for entry in bundle.metadata.get("evaluations", [])]
    if not rows:
        return []
    heads = ["model", "protocol", "images", "PSNR, SSIM", "true kernel", "bicubic", f"{_COMPARED}, as published"]
    lines = [f"| {' | '.join(heads)} |", "|---|---|---|---:|---:|---:|---:|"]
    return lines + [f"| {' | '.join([entry.get('model', name), *_cells(entry)])} |" for name, entry in rows]


def _cells(entry: dict[str, typing.Any]) -> list[str]:
    complete = [
        row for row in published_rows(entry["protocol"], entry["scale"], entry["data"]) if row.method == _COMPARED
    ]
    published = _pair(complete[0].psnr_y, complete[0].ssim_y) if complete and not entry.get("partial") else _NO_SCORE
    known = entry.get("true_kernel_psnr_y")
    products = f", products in {entry['products']}" if entry.get("products", "float32") != "float32" else ""
    return [
        f"{entry['protocol']} ×{entry['scale']}{products}",
        f"{entry['data']} ({entry['images']}{' of 100' if entry.get('partial') else ''})",
        f"**{entry['psnr_y']:.2f}**, {entry['ssim_y']:.4f}",
        _NO_SCORE if known is None else f"{known:.2f}",
        _pair(entry["bicubic_psnr_y"], entry["bicubic_ssim_y"]),
        published,
    ]


def _pair(psnr: float, ssim: float | None) -> str:
    return f"{psnr:.2f}" if ssim is None else f"{psnr:.2f}, {ssim:.4f}"


def _facts(bundle: Bundle) -> dict[str, str]:
    source = bundle.metadata["source"]
    config, training = source["config"], bundle.metadata.get("training", {})
    options = config["optimizer"]
    kind = options.get("kind", "adam").capitalize()  # older runs have no kind
    rate = f"{kind}, learning rate {options['learning_rate']:g}, {options['schedule']}"
    rate += ", in bfloat16" if config.get("precision") == "bfloat16" else ""
    start = f", starting from {config['start_from']}" if config.get("start_from") else ""
    patch = f"{config['data']['batch_size']} patches of {config['data']['patch']}×{config['data']['patch']} LR pixels"
    if config["data"].get("shrink_rate"):
        patch += f" ({config['data']['shrink_rate']:.0%} cut twice as large and halved)"
    recipe = f"{source['steps']:,} steps of {patch}, seed {config['seed']}, {rate}{start}"
    facts = {
        "parameters": f"{count_parameters(bundle) / 1e6:.2f} M",
        "blurs": _blurs(config["degradation"]),
        "trained on": training.get("images", ""),
        "recipe": recipe + f" (config {source['config_hash']}, version {source['blindsr_jax']})",
        "hardware, time": ", ".join(filter(None, (training.get("hardware"), training.get("time")))),
    }
    return {key: value for key, value in facts.items() if value}


def _blurs(degradation: dict[str, typing.Any]) -> str:
    size = degradation["kernel_size"]
    if degradation["kernel"] == "pool":
        kinds = "the package's pool of Gaussians and irregular kernels"
        if degradation.get("pool") == "shaken":
            kinds = f"{kinds} and as many shaken ones (paths in focus, discs, sums)"
    else:
        shape = "round" if degradation["kernel"] == "isotropic" else "rotated"
        low, high = degradation["sigma"]
        kinds = f"{shape} Gaussians of widths {low:g} to {high:g} HR pixels"
    low, high = degradation["noise"]
    noise = f"white noise of {low:g} to {high:g} (of 255)" if high else "no noise"
    sampling = {"bicubic": "bicubic downsampling", "s_fold": "every s-th pixel kept"}[degradation["downsample"]]
    return f"{kinds}, {size}×{size}; {sampling}; {noise}"
