"""The launch files: what can be checked of them without a cluster."""

import os
import pathlib
import signal
import subprocess
import time

import pytest
import yaml

LAUNCH = pathlib.Path(__file__).parents[2] / "launch"
SCRIPTS = ["local.sh", "slurm.sbatch", "tpu_vm.sh"]


def _local(tmp_path, *arguments, body="exit 0", **options):
    """``local.sh`` with a stand-in for Python, which does what ``body`` says."""
    python = tmp_path / "python"
    python.write_text(f"#!/usr/bin/env bash\nif [[ $1 == -c ]]; then echo 12345; exit; fi\n{body}\n")
    python.chmod(0o755)
    environment = os.environ | {"PYTHON": str(python), "GRACE": "1"}
    # A shell cannot trap what it was started to ignore, as tests are in the background of another shell.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen([LAUNCH / "local.sh", *arguments], env=environment, text=True, **options)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_sound(name):
    subprocess.run(["bash", "-n", LAUNCH / name], check=True)
    text = (LAUNCH / name).read_text()
    assert "blindsr_jax.main" in text
    assert "--config." not in text, "launch files set no hyper-parameters"


def test_each_process_is_told_its_place(tmp_path):
    body = 'echo "$JAX_COORDINATOR_ADDRESS $JAX_NUM_PROCESSES $JAX_PROCESS_ID $*"'
    process = _local(tmp_path, "3", "--", "--config", "a b.py", body=body, stdout=subprocess.PIPE)
    lines = sorted(process.communicate(timeout=30)[0].splitlines())
    assert process.returncode == 0
    assert lines == [f"127.0.0.1:12345 3 {number} -m blindsr_jax.main --config a b.py" for number in range(3)]


def test_the_first_failure_is_passed_on_and_ends_the_others(tmp_path):
    process = _local(tmp_path, "2", "--", "x", body="[[ $JAX_PROCESS_ID == 1 ]] && exit 7; exec sleep 100")
    assert process.wait(30) == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_passed_on(tmp_path, number):
    body = f"trap 'echo got; exit 75' {number.name}; echo ready; for i in {{1..300}}; do sleep 0.1; done"
    process = _local(tmp_path, "2", "--", "x", body=body, stdout=subprocess.PIPE)
    assert [process.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
    time.sleep(0.5)
    process.send_signal(number)
    assert process.communicate(timeout=30)[0] == "got\n" * 2
    assert process.returncode == 75


@pytest.mark.parametrize("arguments", [[], ["0", "--", "x"], ["2", "x"], ["two", "--", "x"]])
def test_wrong_usage_is_answered(tmp_path, arguments):
    process = _local(tmp_path, *arguments, stderr=subprocess.PIPE)
    assert "usage:" in process.communicate(timeout=30)[1]
    assert process.returncode == 2


def test_the_jobset_counts_its_hosts_once():
    jobset = yaml.safe_load((LAUNCH / "k8s_jobset.yaml").read_text())
    (job,) = jobset["spec"]["replicatedJobs"]
    spec = job["template"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    variables = {variable["name"]: variable for variable in container["env"]}
    assert int(variables["JAX_NUM_PROCESSES"]["value"]) == spec["parallelism"] == spec["completions"]
    name = jobset["metadata"]["name"]
    port = container["ports"][0]["containerPort"]
    assert variables["JAX_COORDINATOR_ADDRESS"]["value"] == f"{name}-{job['name']}-0-0.{name}:{port}"
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [1, 2])
    assert spec["backoffLimit"] == 0, "one pod alone cannot come back: the set is started again"
    assert {"JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"} == set(variables)
