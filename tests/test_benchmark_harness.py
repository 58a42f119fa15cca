"""The harness: what it compares is the same, its sides run in turn, and each suite still fits the package."""

import functools
import importlib.util
import itertools
import sys

import jax
import numpy as np
import pytest

from benchmarks import beside_peers, run
from benchmarks.comparison import Disagreement
from benchmarks.torch_state import to_torch
from benchmarks.workers import OURS, PEER, Worker, WorkerError, Workers
from blindsr_jax.errors import ConfigError
from blindsr_jax.weights.official import bundle_of_state, load_official
from blindsr_jax.weights.torch_reader import read_torch_checkpoint
from tests.benchmark_runs import SMALL, measured


@pytest.mark.parametrize("name", ["danv1_x2", "danv1_x4", "danv2_x3", "dssr_x3", "dssr_x4"])
def test_weights_are_given_back_to_pytorch(reference, name):
    """Checkpoints of the authors, read by the package and exported again."""
    path = reference / "networks" / f"{name}.pth"
    bundle = load_official(path)
    state, want = to_torch(bundle.model["name"], bundle.model["scale"], bundle.variables), read_torch_checkpoint(path)
    assert state.keys() == want.keys()
    for key, array in want.items():
        np.testing.assert_allclose(state[key], array, atol=1e-5 if key == "init_ker_map" else 0, err_msg=key)


@pytest.mark.parametrize("name", ["dcls_x2", "dcls_x4_setting2", "dasr_x3", "dasr_x4"])
def test_weights_given_to_pytorch_are_read_back(reference, name):
    """The tensors are those of the authors' files, but for a DASR's statistics, which its convolutions hold here."""
    path = reference / "field" / f"{name}.pth"
    bundle, want = load_official(path), read_torch_checkpoint(path)
    state = to_torch(bundle.model["name"], bundle.model["scale"], bundle.variables)
    assert {key: x.shape for key, x in state.items()} == {key: x.shape for key, x in want.items()}
    if bundle.model["name"] == "dcls":
        for key, array in want.items():
            np.testing.assert_array_equal(state[key], array, err_msg=key)
    again = bundle_of_state(path, state)
    assert again.model == bundle.model
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), again.variables, bundle.variables)


def _fake(tmp_path, monkeypatch, forms, rounds=2):
    monkeypatch.setenv("BENCHMARK_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("BENCHMARK_FORMS", forms)
    options = run.parser().parse_args(["--suite", "inference", "--model", "danv1", "--repeats", str(rounds)])
    options.sizes, options.batch, options.folder, options.network = [4], [1], tmp_path, {}
    pythons = {OURS: sys.executable, PEER: sys.executable}
    options.workers = Workers(pythons, tmp_path, dict.fromkeys(pythons, "tests.fake_worker"))
    return options


def test_sides_run_in_turn_and_never_together(tmp_path, monkeypatch):
    result = beside_peers.inference(_fake(tmp_path, monkeypatch, "right", rounds=3))
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    begins, ends = lines[::2], lines[1::2]
    assert [(begin[0], end[0]) for begin, end in zip(begins, ends)] == [("begin", "end")] * 8
    assert [begin[1:] for begin in begins] == [end[1:] for end in ends]
    first, second = begins[0][1], begins[1][1]
    assert first != second
    assert [begin[1] for begin in begins] == [first, second] * 4
    ours, peer = result["tables"]["Times"]
    assert (ours["by"], peer["by"], ours["calls"], peer["calls"]) == (OURS, PEER, 3, 3)
    assert 0.25 <= ours["min_s"] <= ours["q1_s"] <= ours["median_s"] <= ours["q3_s"]
    assert ours["cpu_s"] < 0.2  # it only slept
    (ratio,) = result["tables"]["Ours over the best form of the peers"]
    assert ratio["ours_over_best"] == pytest.approx(ours["median_s"] / peer["median_s"])


def test_different_results_are_refused(tmp_path, monkeypatch):
    with pytest.raises(Disagreement, match=r"wrong: its sr differs from that of blindsr_jax by 1\.0e-01"):
        beside_peers.inference(_fake(tmp_path, monkeypatch, "right wrong"))
    assert not (tmp_path / "log").exists()


def test_a_form_that_fails_is_recorded_without_folders(tmp_path, monkeypatch):
    result = beside_peers.inference(_fake(tmp_path, monkeypatch, "broken right", rounds=1))
    ours, broken, right = result["tables"]["Times"]
    assert broken == {
        "input": "1 of 4x4",
        "by": PEER,
        "form": "broken",
        "failure": "RuntimeError: no compiler in cc",
    }
    assert ours["calls"] == right["calls"] == 1
    assert result["tables"]["Ours over the best form of the peers"][0]["best_peer"] == "right"


def test_a_worker_tells_why_it_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHMARK_FORMS", "dead")
    np.savez(tmp_path / "arrays.npz", lr=np.ones(3))
    with Worker(sys.executable, "tests.fake_worker") as worker:
        worker.call("prepare", key="a", kind="inference", form="dead", model={}, arrays=str(tmp_path / "arrays.npz"))
        with pytest.raises(WorkerError, match="KeyError: 'b'"):
            worker.call("run", key="b", times=1)
        with pytest.raises(WorkerError, match="the process ended with 1: out of memory"):
            worker.call("run", key="a", times=1)
    with pytest.raises(WorkerError, match=r"No module named benchmarks\.nothing"):
        Worker(sys.executable, "benchmarks.nothing")


def test_form_names_are_checked(tmp_path, monkeypatch):
    options = _fake(tmp_path, monkeypatch, "right")
    options.forms = ["fast"]
    with pytest.raises(ConfigError, match="there is no form 'fast'; known are right"):
        beside_peers.inference(options)
    options.batch = [1, 2]
    with pytest.raises(ConfigError, match="--batch: 2 for 1 sizes"):
        beside_peers.inference(options)


def test_networks_that_a_suite_does_not_measure_are_refused(capsys):
    assert run.main(["--suite", "training", "--model", "dasr"]) == 1
    assert "suite training does not measure dasr, only danv1, danv2, dssr" in capsys.readouterr().err


@pytest.mark.drill
@pytest.mark.parametrize("name", ["dcls", "dasr"])
def test_networks_of_one_pass_run_without_peers(tmp_path, name):
    sizes = ["--sizes", "8", "--batch", "1", "--repeats", "1", "--network", *SMALL[name]]
    rows = measured(tmp_path, "inference", "--model", name, "--forms", *sizes)["tables"]["Times"]
    forms = ["jit", *(["jit, each core a device"] if name == "dasr" else []), "jit, direct convolutions"]
    assert [row["form"] for row in rows] == forms
    assert all(row["median_s"] > 0 for row in rows)


@pytest.mark.drill
@pytest.mark.parametrize("suite", ["inference", "training", "compile"])
def test_suites_with_peers_run_without_them(tmp_path, suite):
    sizes = ["--sizes", "8", "--batch", "1", "--repeats", "1", "--network", *SMALL["danv1"]]
    result = measured(tmp_path, suite, "--forms", *sizes)
    rows = next(iter(result["tables"].values()))
    lean = ["jit, blocks recomputed", "jit, blocks recomputed, image by image"] if suite == "training" else []
    assert [row["form"] for row in rows] == ["jit", *lean] and {row["by"] for row in rows} == {OURS}
    wanted = {"inference": ["median_s"], "training": ["median_s", "peak_mib"], "compile": ["cold_s", "cached_s"]}
    assert all(row[name] > 0 for row in rows for name in wanted[suite])
    assert result["sides"][OURS]["jax"] == jax.__version__


@pytest.mark.drill
def test_an_interpreter_without_pytorch_is_said(tmp_path):
    if importlib.util.find_spec("torch"):
        pytest.skip("this interpreter has PyTorch")
    sizes = ["--sizes", "8", "--batch", "1", "--repeats", "1", "--network", *SMALL["dssr"]]
    (note,) = measured(tmp_path, "inference", "--model", "dssr", *sizes)["notes"]
    assert note.startswith("Ours alone: ") and "No module named 'torch'" in note


@pytest.mark.drill
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *itertools.product(("danv1", "danv2", "dssr"), ("inference", "training")),
        ("dcls", "inference"),
        ("dasr", "inference"),
    ],
)
def test_pytorch_computes_the_same(tmp_path, name, kind):
    """Without agreement to 1e-4, of images or of losses over three updates, nothing would be measured."""
    pytest.importorskip("torch", reason="the other side is PyTorch, which is absent")
    sizes = ["--scale", "3", "--sizes", "8", "--batch", "2", "--repeats", "1", "--network", *SMALL[name]]
    result = measured(tmp_path, kind, "--model", name, "--forms", "eager, channels last", *sizes)
    rows = result["tables"]["Times"]
    *ours, peer = rows
    assert {row["by"] for row in ours} == {OURS}
    assert (peer["by"], peer["form"]) == (PEER, "eager, channels last")
    assert peer["difference"] < 1e-4


@pytest.mark.drill
def test_degradation_suite(tmp_path):
    sizes = ["--sizes", "48", "--batch", "2", "--repeats", "1", "--network", *SMALL["danv1"]]
    rows = measured(tmp_path, "degradation", *sizes)["tables"]["Times"]
    assert len(rows) == 4
    assert all(row["blur_s"] > 0 and row["share_of_step"] > 0 for row in rows)


@pytest.mark.drill
def test_input_suite(tmp_path):
    words = ["input", "--sizes", "32", "--batch", "4", "--repeats", "3", "--network", *SMALL["danv1"]]
    tables = measured(tmp_path, *words)["tables"]
    assert {row["form"] for row in tables["Patches"]} == {"PNG files", "PNG shards", "raw shards", "cached"}
    assert all(row["patches_per_second"] > 0 and row["per_core_second"] > 0 for row in tables["Patches"])
    (row,) = tables["Demand"]
    eaten = 8 * 0.3 * 989e12 / (row["gflop_a_patch"] * 1e9)
    assert row["patches_per_second_of_the_host"] == pytest.approx(eaten, rel=1e-3)
    rate = [row["per_core_second"] for row in tables["Patches"] if row["form"] == "raw shards"][-1]
    assert row["cores: raw shards"] * rate == pytest.approx(eaten, rel=1e-2)


@pytest.mark.drill
def test_memory_suite_counts_bytes_for_each_pixel(tmp_path):
    words = ["memory", "--model", "dssr", "--sizes", "8", "--network", *SMALL["dssr"]]
    (row,) = measured(tmp_path, *words)["tables"]["Temporaries"]
    assert row["bytes_per_restored_pixel"] * 32 * 32 == pytest.approx(row["temporaries_mib"] * 2**20, rel=1e-3)
    assert row["bytes_per_restored_pixel"] > 12  # at least an image of three float32 numbers
