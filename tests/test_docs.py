"""What the documents count and claim."""

import dataclasses
import pathlib
import re

import jax
import numpy as np
import pytest

from blindsr_jax.degradations.orders import ORDERS
from blindsr_jax.degradations.samplers import SAMPLERS
from blindsr_jax.degradations.steps import STEPS
from blindsr_jax.evaluation.protocols import PROTOCOLS
from blindsr_jax.networks import build, init_variables
from tests.test_house import FLOORS

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ("docs", "launch", "benchmarks")
PAGES = [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in sorted((ROOT / folder).glob("*.md")))]
MODELS = (ROOT / "docs" / "models.md").read_text()
_MADE = ("runs", "build", "dist")  # by commands
_READERS_OWN = ("blindsr_jax/networks/sharpener.py", "configs/sharpener_x4.py", "benchmarks/results/NAME.json")
DEGRADATIONS = (ROOT / "docs" / "degradations.md").read_text()


def _count(name, **sizes):
    variables = jax.eval_shape(lambda: init_variables(build(name, **sizes), jax.random.key(0)))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(variables["params"]))


def test_dssr_is_counted_by_hand():
    table = MODELS.split("counted by hand")[1].split("\n\n")[2]
    *parts, total = [int(cell.replace(",", "")) for cell in re.findall(r"\| ([\d,]+) \|$", table, re.MULTILINE)]
    assert len(parts) == 8
    assert sum(parts) == total == _count("dssr", scale=4)


def test_other_counts_are_true():
    text = " ".join(MODELS.split())
    for name in ("danv1", "danv2"):
        assert f"{_count(name, scale=4):,} parameters at ×4" in text
    assert f"{_count('kernelnet', scale=4):,} parameters." in text


def test_every_protocol_is_described():
    text = (ROOT / "docs" / "protocols.md").read_text()
    for name in (*PROTOCOLS, "s_fold_circular"):
        assert f"| `{name}` |" in text


def test_the_code_about_degradations_runs():
    """All of it, in one go as a reader would; what it registers is taken away again."""
    page = DEGRADATIONS
    tables = SAMPLERS, STEPS, ORDERS
    before = [dict(table) for table in tables]
    names = {"__name__": "reader"}
    try:
        exec("\n".join(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)), names)
    finally:
        for table, entries in zip(tables, before):
            table.clear()
            table.update(entries)
    assert names["made"].lr.shape == (8, 32, 32, 3)
    assert set(np.asarray(names["made"].quality)) <= set(range(20, 41))


def test_every_step_and_order_is_described():
    for name in (*STEPS, *ORDERS):
        assert f"`{name}`" in DEGRADATIONS


def test_every_option_of_a_step_is_named_with_its_default():
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", DEGRADATIONS.split("| step |")[1], re.MULTILINE)
    told = {name: re.findall(r"`([^`]+)`", options) for name, options in rows}

    def written(field):
        plain = field.default in (dataclasses.MISSING, None)
        return field.name if plain else f"{field.name}={field.default!r}".replace("'", '"')

    assert told == {name: [written(field) for field in dataclasses.fields(step)] for name, step in STEPS.items()}


def test_every_room_is_on_the_map():
    text = (ROOT / "docs" / "architecture.md").read_text()
    lines = text.split("```\n")[1].splitlines()
    assert [sorted(re.findall(r"(\w+)(?:\.py|/)(?= |$)", line.split("   ")[0])) for line in lines] == [
        sorted(floor) for floor in reversed(FLOORS)
    ]


def _anchors(page):
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!http)([^)]+)\)", page.read_text())
    for path, _, anchor in (link.partition("#") for link in links):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in _anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_of_the_project_that_a_page_names_are_there(page):
    """An ignored file, such as weights outside ``packaged``, is there for its author only."""
    rooms = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in _MADE)
    named = re.findall(rf"(?<![\w./-])((?:{rooms})/[\w./-]*\.\w+)", page.read_text())
    assert [name for name in named if name not in _READERS_OWN and not (ROOT / name).exists()] == []
