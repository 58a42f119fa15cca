import csv
import json
import math
import pathlib

import numpy as np
import pytest
from PIL import Image

from blindsr_jax.evaluation import published as published_module
from blindsr_jax.evaluation.methods import Methods
from blindsr_jax.evaluation.plots import draw_plots
from blindsr_jax.evaluation.protocols import dasr9, gaussian8, gaussian_width
from blindsr_jax.evaluation.published import published_rows
from blindsr_jax.evaluation.report import beside_published, method_table, summarise, write_report
from blindsr_jax.evaluation.run import evaluate
from blindsr_jax.evaluation.samples import SyntheticTests
from blindsr_jax.evaluation.scores import Row, mean_scores
from tests.evaluation.conftest import Images


def _row(image="a", sigma=1.0, method="blind", psnr=30.0, **scores):
    return Row(image, f"σ={sigma:.2f}", sigma, method, psnr, 0.9, 25.0, 0.8, **scores)


def test_published_rows_are_the_papers():
    rows = {row.method: row for row in published_rows("gaussian8", 4, "Set5")}
    assert {"IKC", "DANv1", "DANv2", "DSSR"} <= rows.keys()
    assert (rows["DANv1"].psnr_y, rows["DANv1"].ssim_y) == (31.89, 0.8864)
    widths = published_rows("gaussian_width", 2, "BSD100")
    assert {row.case for row in widths} == {"σ=0.00", "σ=0.60", "σ=1.20", "σ=1.80"}
    assert published_rows("gaussian8", 4, "my photos") == []
    assert published_rows("gaussian8", 4, "div2krk") == []
    assert published_rows("gaussian8, 2 of 8 widths", 4, "Set5") == []
    krk = {row.method: row.psnr_y for row in published_rows("div2krk", 4, "wherever")}
    assert (krk["DANv2"], krk["DASR"], krk["DCLS"]) == (28.74, 28.15, 28.99)
    assert (rows["DCLS"].psnr_y, rows["DCLS"].ssim_y) == (32.12, 0.8890)
    assert "DCLS" not in {row.method for row in published_rows("gaussian8", 4, "Manga109")}, "no figure, no row"
    third = {(row.method, row.case): row.psnr_y for row in published_rows("gaussian_width", 3, "Urban100")}
    assert third["DASR", "σ=0.00"] == 27.65
    assert third["DASR", "σ=2.40"] == 25.95
    ikc = {row.case: row.psnr_y for row in published_rows("gaussian_width", 4, "Set14") if row.method == "IKC"}
    assert list(ikc.values()) == [28.52, 28.45, 28.16, 26.81]
    rotated = {row.case: row.psnr_y for row in published_rows("dasr9", 4, "Set14") if row.method == "DASR"}
    assert (rotated["σ=2.0, 1.0, 10°, noise 0"], rotated["σ=4.0, 4.0, 180°, noise 10"]) == (27.97, 24.43)
    cases = [case.label for case in dasr9(4).cases]
    assert list(rotated) == [case for case in cases if not case.startswith("σ=2.0, 0.2")], "the first is uncertain"


def test_published_figures_are_the_given_ones(published):
    """Rows of other papers stand between them."""
    for name in ("gaussian8.csv", "gaussian_width.csv", "div2krk.csv", "kernelnet.csv"):
        packaged = (pathlib.Path(published_module.__file__).parent / "published" / name).read_text().splitlines()
        given = (published / name).read_text().splitlines()
        assert [row for row in packaged if row in given] == given


@pytest.mark.parametrize("protocol", [gaussian8, gaussian_width])
def test_reports_stand_beside_the_papers(model, photo, protocol):
    rows = evaluate(model, SyntheticTests(Images(photo), protocol(4)))
    summary = summarise(rows, protocol=protocol(4).name, scale=4, data="Set5", model="ours")
    table = beside_published(rows, summary)
    cases = {"gaussian8": 1, "gaussian_width": 4}[protocol(4).name]
    assert sum("**ours**" in line for line in table) == cases
    assert sum("ONLY 1 of 5 images" in line for line in table) == 2 * cases
    assert any(line.startswith("| DSSR |") for line in table)
    assert beside_published(rows, summary | {"data": "elsewhere"}) == []


def test_a_part_of_div2krk_is_called_a_part():
    rows = [_row(image=str(i)) for i in range(6)]
    summary = summarise(rows, protocol="div2krk", scale=2, data="DIV2KRK_dev", model="ours")
    table = beside_published(rows, summary)
    assert "ONLY 6 of 100 images, not comparable" in table[2]
    assert any("DANv2" in line and "32.58" in line for line in table)


def test_reports_agree_with_the_rows(model, photo, tmp_path):
    rows = evaluate(model, SyntheticTests(Images(photo), gaussian8(4).subset(3)))
    summary = summarise(rows, protocol="gaussian8", scale=4, parameters=model.parameters, steps=7, config_hash="abc")
    write_report(tmp_path, rows, summary)
    report = json.loads((tmp_path / "report.json").read_text())
    needed = "protocol scale psnr_y ssim_y bicubic_psnr_y kernel_l1 images parameters steps config_hash"
    assert set(needed.split()) <= report.keys()
    assert report["images"] == 1
    assert report["psnr_y"] == pytest.approx(np.mean([row.psnr_y for row in rows]))
    lines = list(csv.DictReader((tmp_path / "report.csv").read_text().splitlines()))
    assert [float(line["psnr_y"]) for line in lines] == [row.psnr_y for row in rows]
    page = (tmp_path / "report.md").read_text()
    assert page.startswith("# gaussian8, ×4")
    assert f"| im0.png | {report['psnr_y']:.2f} |" in page
    assert "RGB" not in page, "columns without values are left out"
    assert "![widths.png](widths.png)" in page


def test_the_headline_is_the_first_method_and_the_table_has_all():
    rows = [
        _row(psnr=30.0),
        _row(method="true kernel", psnr=31.0),
        _row("b", psnr=32.0),
        _row("b", method="true kernel"),
    ]
    summary = summarise(rows, protocol="gaussian8", scale=4)
    assert (summary["psnr_y"], summary["images"], summary["rows"]) == (31.0, 2, 2)
    assert summary["methods"]["true kernel"]["psnr_y"] == 30.5
    table = method_table(rows)
    assert [line.split(" | ")[0] for line in table[2:]] == ["| blind", "| true kernel", "| bicubic"]
    assert "25.00" in table[-1]


def test_perfect_and_missing_scores_are_not_averaged():
    rows = [_row(psnr=math.inf), _row(psnr=30.0, kernel_l1=0.5, seconds=1.0), _row(seconds=3.0), _row(seconds=100.0)]
    means = mean_scores(rows)
    assert (means["psnr_y"], means["kernel_l1"], means["code_l1"]) == (30.0, 0.5, None)
    assert means["seconds"] == 3.0, "the median: the first includes compiling"
    assert summarise(rows, protocol="p", scale=2)["perfect_rows"] == 1


def test_plots_are_drawn_where_there_is_something_to_see(tmp_path):
    widths = [_row(sigma=sigma, kernel_l1=0.1 * sigma) for sigma in (1.0, 2.0)]
    steps = [_row(method=f"T = {t}", psnr=30 + t) for t in (1, 2, 3)]
    assert draw_plots(tmp_path, [_row()], "x") == []
    assert draw_plots(tmp_path, [*widths, *steps], "gaussian8 ×4") == ["steps.png", "widths.png"]
    for name in ("steps.png", "widths.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 300
            assert len(np.unique(np.asarray(picture.convert("L")))) > 20


def test_a_real_sweep_is_drawn(model, photo, tmp_path):
    rows = evaluate(model, SyntheticTests(Images(photo), gaussian8(4).subset(2)), Methods(sweep=2))
    write_report(tmp_path, rows, summarise(rows, protocol="gaussian8", scale=4))
    assert (tmp_path / "steps.png").is_file()
    assert (tmp_path / "widths.png").is_file()
