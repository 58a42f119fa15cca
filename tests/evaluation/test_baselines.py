import json

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from blindsr_jax import metrics
from blindsr_jax.cli import main
from blindsr_jax.evaluation.baselines import LanczosWithSharpening, Wiener, baselines_for
from blindsr_jax.evaluation.protocols import PROTOCOLS, gaussian8
from blindsr_jax.evaluation.run import evaluate
from blindsr_jax.evaluation.samples import SyntheticTests, synthetic_sample
from blindsr_jax.inference.restore import enlarge_bicubic
from blindsr_jax.weights.bundle import save_bundle
from tests.evaluation.conftest import Images
from tests.inference.conftest import tiny_bundle


@pytest.mark.parametrize("baseline", [LanczosWithSharpening(0.8, 0.0), Wiener(1e-3, 0.1)], ids=str)
def test_without_filtering_it_is_interpolation(baseline, photo):
    enlarged = baseline(photo, 2)
    if isinstance(baseline, Wiener):
        expected = enlarge_bicubic(photo, 2)
    else:
        expected = np.asarray(Image.fromarray(photo).resize((256, 192), Image.Resampling.LANCZOS))
    assert np.abs(enlarged.astype(int) - expected).max() <= 1


def test_unsharp_masking_is_that_of_a_gaussian_filter(photo):
    enlarged = np.asarray(Image.fromarray(photo).resize((256, 192), Image.Resampling.LANCZOS)).astype(float)
    smooth = scipy.ndimage.gaussian_filter(enlarged, (1.5, 1.5, 0), mode="reflect", truncate=6)
    expected = np.clip(enlarged + 0.5 * (enlarged - smooth), 0, 255)
    assert np.abs(LanczosWithSharpening(1.5, 0.5)(photo, 2) - expected).max() <= 1


def test_the_filters_beat_bicubic_on_blurred_pictures(photo):
    protocol = gaussian8(4)
    sample = synthetic_sample("photo", photo, protocol, protocol.cases[3])
    bicubic = metrics.psnr(enlarge_bicubic(sample.lr, 4), sample.hr, 4)
    for baseline in baselines_for(4):
        assert metrics.psnr(baseline(sample.lr, 4), sample.hr, 4) > bicubic + 0.3


def test_the_report_of_photographs_has_them(model, photo):
    protocol = PROTOCOLS["photo"](4).subset(2)
    rows = evaluate(model, SyntheticTests(Images(photo), protocol))
    methods = [row.method for row in rows if row.case == rows[0].case]
    assert methods == ["blind", *map(str, baselines_for(4))]
    assert all(row.psnr_y is not None and row.ssim_y is not None for row in rows)


def test_pictures_without_ground_truth(tmp_path, photo, capsys):
    save_bundle(tmp_path / "tiny.safetensors", tiny_bundle())
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.fromarray(photo).save(pictures / "a.jpg", quality=30)
    Image.fromarray(photo[:, ::-1]).save(pictures / "b.png")
    Image.new("RGB", (60, 40), (80, 90, 100)).save(pictures / "flat.png")
    options = ["--protocol", "no_reference", "--data", str(pictures), "-o", str(tmp_path / "report")]
    assert main(["evaluate", "--model", str(tmp_path / "tiny.safetensors"), *options]) == 0
    assert "flat-area residual" in capsys.readouterr().out
    summary = json.loads((tmp_path / "report" / "report.json").read_text())
    assert summary["psnr_y"] is None and summary["images"] == 3
    assert 0.5 < summary["flat_ratio"] < 2 and 0.5 < summary["block_ratio"] < 2
    page = (tmp_path / "report" / "report.md").read_text()
    assert f"- device: {summary['device']}" in page and "- products: float32" in page
    assert "flat ratio" in page and "| a.jpg |" in page and "PSNR" not in page
