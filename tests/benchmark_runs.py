"""Runs of the benchmark command in this process, and networks small enough for them."""

import json

from benchmarks import run

SMALL = {
    "danv1": ["blocks=1", "features=4", "estimator_features=4", "estimator_blocks=1", "iterations=2"],
    "danv2": ["groups=1", "blocks=1", "features=4", "estimator_features=4", "estimator_blocks=1", "iterations=2"],
    "dssr": ["blocks=1", "features=4", "refine_blocks=1", "iterations=2"],
    "dcls": ["groups=1", "blocks=1", "features=16", "latent_features=2"],
    "dasr": ["groups=1", "blocks=1", "features=8", "code_features=4"],
}


def sizes_of(name):
    """``SMALL`` as the keywords of a builder."""
    return {key: int(value) for key, value in (word.split("=") for word in SMALL[name])}


def measured(folder, suite, *words):
    """The JSON that a suite writes; the Markdown beside it has the same title."""
    output = folder / "result.json"
    assert run.main(["--suite", suite, *words, "--output", str(output)]) == 0
    assert output.with_suffix(".md").read_text().startswith(f"# {suite}")
    return json.loads(output.read_text())
