"""Model cards and the pages made from them."""

import pathlib
import re

import pytest

import blindsr_jax
from blindsr_jax import config as config_lib
from blindsr_jax.cli import main
from blindsr_jax.errors import WeightsError
from blindsr_jax.evaluation.cards import card, cards, headline_table, score_table
from blindsr_jax.evaluation.published import published_rows
from blindsr_jax.inference.loading import bundle_named
from blindsr_jax.weights.bundle import Bundle
from blindsr_jax.weights.zoo import PACKAGED, default_model

ROOT = pathlib.Path(__file__).parents[2]
NAMES = sorted(blindsr_jax.models())


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_for_where_it_fails_and_how_to_repeat_it(name):
    text = card(name)
    sets = ["Set5 (5)", "Set14 (14)"] if name.startswith("dan-") else []
    for part in ("**Where it fails.**", "| recipe |", "| blurs |", "| trained on |", "| hardware, time |", *sets):
        assert part in text, part
    (config,) = set(re.findall(r"--config configs/(\S+)\.py", text))
    assert config in config_lib.project_configs()


def test_every_text_has_its_weights():
    assert {path.stem for path in PACKAGED.glob("*.md")} == set(NAMES)


def test_the_pages_are_up_to_date():
    message = "run python docs/make.py pages"
    assert (ROOT / "docs" / "weights.md").read_text() == cards(), message
    table = (ROOT / "README.md").read_text().split("<!-- scores -->\n")[1].split("\n<!-- end -->")[0]
    assert table.splitlines() == headline_table(), message
    assert len(table.splitlines()) == 2 + 4


def test_the_page_of_weights_has_every_score_once():
    lines = (ROOT / "docs" / "weights.md").read_text().splitlines()
    for line in score_table([(name, bundle_named(name)) for name in NAMES])[2:]:
        assert lines.count(line) == 1


def test_published_figures_stand_beside_complete_sets_only():
    scores = {"psnr_y": 1.0, "ssim_y": 0.1, "bicubic_psnr_y": 0.5, "bicubic_ssim_y": 0.05, "images": 6, "scale": 4}
    entries = [
        scores | {"protocol": "div2krk", "data": "DIV2KRK", "partial": True},
        scores | {"protocol": "gaussian8", "data": "Set5"},
    ]
    bundle = Bundle({"params": {}}, {"name": "danv1"}, {"evaluations": entries})
    *_, stored, set5 = score_table([("ours", bundle)])
    (danv1,) = [row for row in published_rows("div2krk", 4, "DIV2KRK") if row.method == "DANv1"]
    assert "DIV2KRK (6 of 100)" in stored and f"{danv1.psnr_y:.2f}" not in stored
    assert "31.89" in set5


def test_the_command_lists_the_models_and_marks_the_defaults(capsys):
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    marked = {line.split()[0] for line in lines if "  Default. " in line}
    assert marked == {default_model(scale) for scale in (2, 3, 4)}


def test_the_command_prints_a_card(capsys):
    assert main(["models", NAMES[0]]) == 0
    assert capsys.readouterr().out == card(NAMES[0])
    assert main(["models", "dan-huge"]) == 1
    assert NAMES[0] in capsys.readouterr().err
    with pytest.raises(WeightsError, match="no packaged model"):
        card("dan-huge")
