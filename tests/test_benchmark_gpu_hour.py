"""An hour on one GPU: the order, the time limit, and a result that a broken run keeps."""

import json
import math
import subprocess
import sys
import time

import pytest

from benchmarks import gpu_hour, run
from benchmarks.workers import ROOT
from tests.benchmark_runs import SMALL, measured

PARTS = gpu_hour.PARTS


def _hour(path, measure, seconds=1000.0, **options):
    head = {"suite": "gpu_hour", "about": "About.", "rehearsal": False, "dtype": "any", "notes": []}
    gpu_hour.measure_all(PARTS, head, path, time.monotonic() + seconds, measure, **options)
    return json.loads(path.read_text())


def _measured(words, limit):
    kind = words[words.index("--suite") + 1]
    row = {"by": "blindsr_jax", "form": "jit, bf16", "input": "64 of 64x64", "median_s": 0.25}
    return {"suite": kind, "tables": {"Times": [row]}}


def test_everything_is_written_after_each_part_and_nothing_is_measured_twice(tmp_path):
    path, asked = tmp_path / "hour.json", []

    def measure(words, limit):
        assert not asked or len(json.loads(path.read_text())["parts"]) == len(asked)
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(words)
        return _measured(words, limit)

    with pytest.raises(KeyboardInterrupt):
        _hour(path, measure)
    titles = [part.title for part in PARTS]
    assert list(json.loads(path.read_text())["parts"]) == titles[:3]
    again = []
    result = _hour(path, lambda words, limit: again.append(words) or _measured(words, limit))
    assert list(result["parts"]) == titles and len(again) == len(titles) - 3
    assert [row["outcome"] for row in result["tables"]["Parts"]] == ["measured"] * len(titles)
    # 64 patches in 0.25 s.
    assert {row["consumed"] for row in result["tables"]["Patches a second"]} == {256.0}
    assert path.with_suffix(".md").read_text().startswith("# gpu_hour")


def test_a_part_that_fails_costs_only_itself_and_comes_last_when_tried_again(tmp_path):
    path, order = tmp_path / "hour.json", []

    def measure(words, limit):
        order.append(words)
        if "precision" in words or len(order) > 6:
            raise RuntimeError("no memory")
        return _measured(words, limit)

    first = _hour(path, measure)
    assert first["parts"]["precision"]["failed"] == "no memory"
    measured = [title for title, part in first["parts"].items() if "tables" in part]
    assert len(measured) == 5 and measured[0] == PARTS[0].title
    order.clear()
    _hour(path, lambda words, limit: order.append(words) or _measured(words, limit))
    assert len(order) == len(PARTS) - 5


def test_no_part_begins_too_late_and_each_knows_its_limit(tmp_path):
    limits = []
    result = _hour(tmp_path / "hour.json", lambda words, limit: limits.append(limit) or _measured(words, limit), 40.0)
    assert limits == [20.0] * len(limits) != []
    plenty = []
    _hour(tmp_path / "long.json", lambda words, limit: plenty.append(limit) or _measured(words, limit), 1000.0)
    assert all(490 < limit < 500 for limit in plenty)
    skipped = [title for title, part in result["parts"].items() if "skipped" in part]
    assert skipped == [part.title for part in PARTS if part.at_least > 35]


@pytest.mark.parametrize("rehearse", [False, True])
@pytest.mark.parametrize("beside", [None, "python-with-torch"])
def test_the_command_knows_every_word(tmp_path, rehearse, beside):
    asked = []
    measure = lambda words, limit: asked.append(words) or _measured(words, limit)  # noqa: E731
    _hour(tmp_path / "hour.json", measure, rehearse=rehearse, beside=beside)
    options = [run.parser().parse_args(words) for words in asked]
    assert {o.suite for o in options} >= {"update", "training", "inference", "precision", "input", "memory"}
    assert {o.model for o in options} >= {"danv1", "danv2", "dssr"}
    compared = [o for o in options if o.suite in ("training", "inference")]
    if rehearse or not beside:
        assert all(o.forms == [] for o in compared)
    else:
        assert {o.peer_python for o in compared} == {beside}
        assert all(len(o.forms) == len(o.our_forms) for o in compared)
    if rehearse:
        assert {form for o in compared for form in o.our_forms} == {"jit"}


def test_a_suite_that_takes_too_long_ends_with_its_workers(tmp_path):
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="not done after 1 s"):
        gpu_hour.in_a_process(["--suite", "precision"], 1.0)
    assert time.monotonic() - start < 60


def test_without_a_gpu_it_says_so(tmp_path, capsys):
    assert gpu_hour.main(["--output", str(tmp_path / "hour.json")]) == 1
    assert "there is no GPU here (cpu" in capsys.readouterr().err


@pytest.mark.drill
def test_an_update_is_measured_without_tensorflow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    small = ["--batch", "4", "--sizes", "16", "--repeats", "2", "--network", *SMALL["danv2"]]
    (row,) = measured(tmp_path, "update", *small)["tables"]["Update"]
    assert row["consumed"] > 0 and "needs TensorFlow" in row["no_input"]
    assert "supplied" not in row


@pytest.mark.drill
def test_a_rehearsal_measures_everything(tmp_path):
    path = tmp_path / "hour.json"
    command = [sys.executable, "-m", "benchmarks.gpu_hour", "--rehearse", "--seconds", "3000", "--output", str(path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3600)
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(path.read_text())
    assert {title: part.get("failed") for title, part in found["parts"].items()} == dict.fromkeys(
        part.title for part in PARTS
    )
    (update,) = found["parts"]["update of danv2_short_x4"]["tables"]["Update"]
    assert update["consumed"] > 0 and math.isclose(update["consumed"], 2 / update["median_s"], rel_tol=1e-2)
    assert update["supplied"] > 0 and update["steps_in_25_minutes"] > 1
    for row in found["parts"]["precision"]["tables"]["Goldens"]:
        assert max(row["default"], row["highest"]) < 2e-4 < row["bfloat16"] < 0.2
