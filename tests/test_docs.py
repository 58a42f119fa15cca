"""What the documents count and claim."""

import pathlib
import re

import jax
import numpy as np

from blindsr_jax.evaluation.protocols import PROTOCOLS
from blindsr_jax.networks import build, init_variables

ROOT = pathlib.Path(__file__).parents[1]
MODELS = (ROOT / "docs" / "models.md").read_text()


def _count(name, **sizes):
    variables = jax.eval_shape(lambda: init_variables(build(name, **sizes), jax.random.key(0)))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(variables["params"]))


def test_dssr_is_counted_by_hand():
    table = MODELS.split("counted by hand")[1].split("\n\n")[2]
    *parts, total = [int(cell.replace(",", "")) for cell in re.findall(r"\| ([\d,]+) \|$", table, re.MULTILINE)]
    assert len(parts) == 8
    assert sum(parts) == total == _count("dssr", scale=4)


def test_other_counts_are_true():
    for name in ("danv1", "danv2"):
        assert f"{_count(name, scale=4):,} parameters at ×4" in MODELS
    assert f"{_count('kernelnet', scale=4):,} parameters." in MODELS


def test_every_protocol_is_described():
    text = (ROOT / "docs" / "protocols.md").read_text()
    for name in (*PROTOCOLS, "s_fold_circular"):
        assert f"| `{name}` |" in text


def test_links_lead_somewhere():
    for page in (ROOT / "docs").glob("*.md"):
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
