import json
import os
import random
import threading

import jax
import numpy as np
import pytest
import safetensors.numpy

from blindsr_jax.errors import WeightsError
from blindsr_jax.networks import build, init_variables
from blindsr_jax.weights.bundle import Bundle, load_bundle, save_bundle

MODEL = {"name": "danv1", "scale": 2, "blocks": 1, "features": 4, "estimator_features": 4, "estimator_blocks": 1}
HEAD = "restorer/head/kernel"


@pytest.fixture(scope="module")
def bundle():
    variables = init_variables(build(**MODEL), jax.random.key(0, impl="rbg"), np.eye(441, 10, dtype=np.float32))
    return Bundle(jax.tree.map(np.asarray, variables), MODEL, {"protocol": "gaussian8", "scores": {"Set5": 30.0}})


@pytest.fixture
def path(bundle, tmp_path):
    path = tmp_path / "model.safetensors"
    save_bundle(path, bundle)
    return path


def _rewrite(path, change, header=lambda h: h):
    with safetensors.safe_open(path, "numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = file.metadata()["blindsr_jax"]
    change(arrays)
    described = json.loads(text)
    del described["sha256"]  # earlier versions wrote no checksum
    path.write_bytes(safetensors.numpy.save(arrays, {"blindsr_jax": json.dumps(header(described))}))


def test_round_trip_is_bit_identical(bundle, path, tmp_path):
    loaded = load_bundle(path)
    assert loaded.model == bundle.model
    assert loaded.metadata == bundle.metadata
    assert jax.tree.structure(loaded.variables) == jax.tree.structure(bundle.variables)
    for got, want in zip(jax.tree.leaves(loaded.variables), jax.tree.leaves(bundle.variables)):
        np.testing.assert_array_equal(got, want)
    save_bundle(tmp_path / "again.safetensors", loaded)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_bundles_without_a_checksum_are_read(bundle, path):
    _rewrite(path, lambda arrays: None)
    loaded = load_bundle(path)
    assert loaded.metadata == bundle.metadata
    assert jax.tree.all(jax.tree.map(np.array_equal, loaded.variables, bundle.variables))


def test_every_flipped_bit_is_refused_or_harmless(bundle, path):
    sound, rng = path.read_bytes(), random.Random(3)
    refused = 0
    for at in [
        *rng.sample(range(len(sound)), 20),
        *range(8, 400, 20),
    ]:  # positions in the arrays and in the description
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1 << rng.randrange(8)]) + sound[at + 1 :])
        try:
            loaded = load_bundle(path)
        except WeightsError:
            refused += 1
            continue
        assert loaded.model == bundle.model, at
        assert {name: loaded.metadata.get(name) for name in bundle.metadata} == bundle.metadata, at
        assert jax.tree.all(jax.tree.map(np.array_equal, loaded.variables, bundle.variables)), at
    assert refused >= 30


def test_weights_that_are_not_finite_are_not_packaged(bundle, path):
    poisoned = jax.tree.map(lambda x: np.full_like(x, np.inf), bundle.variables["params"])
    before = path.read_bytes()
    with pytest.raises(WeightsError, match="not finite"):
        save_bundle(path, Bundle({**bundle.variables, "params": poisoned}, MODEL))
    assert path.read_bytes() == before


def test_names_follow_the_module_tree(path):
    with safetensors.safe_open(path, "numpy") as file:
        names = set(file.keys())
    assert {"restorer/body/0/conv1/kernel", "estimator/out/bias", "constants/pca_basis"} <= names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop(HEAD), f"{HEAD} of shape .* is missing"),
        (lambda a: a.update({HEAD: a[HEAD][..., :2]}), f"{HEAD} has shape"),
        (lambda a: a.update({HEAD: a[HEAD].astype(np.float64)}), "float32 was expected"),
        (lambda a: a.update(extra=np.zeros(3, np.float32)), "extra is no part"),
        (lambda a: a.update({HEAD: a[HEAD] * np.float32("nan")}), f"{HEAD} has numbers that are not finite"),
    ],
)
def test_wrong_arrays_are_named(path, change, message):
    _rewrite(path, change)
    with pytest.raises(WeightsError, match=message):
        load_bundle(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (lambda h: h | {"format_version": 99}, "newer"),
        (lambda h: h | {"format_version": "one"}, "damaged"),
        (lambda h: h | {"model": "danv1"}, "damaged"),
        (lambda h: {}, "damaged"),
        (lambda h: h | {"model": MODEL | {"scale": 5}}, "not 5"),
        (lambda h: h | {"model": MODEL | {"name": "other"}}, "no model 'other'"),
        (lambda h: h | {"model": MODEL | {"blocks": "many"}}, "whole number of at least 1"),
        (lambda h: h | {"model": MODEL | {"wings": 2}}, "has no wings"),
        (lambda h: h | {"model": MODEL | {"blocks": 3000}}, "blocks of the model must be at most"),
        (lambda h: h | {"model": MODEL | {"blocks": 100}}, "blocks of the model must be at most"),
        (lambda h: h | {"model": MODEL | {"name": "danv2", "blocks": 20, "groups": 20}}, "400 blocks"),
        (lambda h: h | {"model": MODEL | {"iterations": 10**6}}, "iterations of the model must be at most 1,000"),
        (lambda h: h | {"model": MODEL | {"kernel_size": 100001}}, "kernel_size of the model must be at most"),
        (lambda h: h | {"model": {"name": "kernelnet", "scale": 2, "kernel_size": 100001}}, "kernel_size"),
        (lambda h: h | {"model": {"name": "usrnet", "features": [10**9, 1, 1, 1]}}, "features of the model must be"),
        (lambda h: h | {"protocol": ["gaussian8"]}, "protocol is of another kind"),
        (lambda h: h | {"scores": [30.0]}, "scores is of another kind"),
        (lambda h: h | {"scores": {"Set5": "30 dB"}}, "scores is of another kind"),
        (lambda h: h | {"source": {"config": {"degradation": 3}}}, "source is of another kind"),
        (lambda h: h | {"evaluations": [3]}, "evaluations is of another kind"),
    ],
)
def test_wrong_descriptions_are_named(path, header, message):
    _rewrite(path, lambda arrays: None, header)
    with pytest.raises(WeightsError, match=message):
        load_bundle(path)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\xff" * 64, lambda b: b[:4]])
def test_damaged_files_are_refused(path, damage):
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsError, match=str(path)):
        load_bundle(path)


@pytest.mark.parametrize("value", [[1] * 9999, "x" * 9999, {"x" * 9999: 1}], ids=["list", "text", "dict"])
@pytest.mark.parametrize("size", ["name", "blocks", "features", "x" * 9999])
def test_messages_quote_little_of_a_file(path, size, value):
    _rewrite(path, lambda arrays: None, lambda h: h | {"model": MODEL | {size: value}})
    with pytest.raises(WeightsError) as caught:
        load_bundle(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) <= 900


def test_a_description_of_brackets_is_refused(path):
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(2)}, {"blindsr_jax": "[" * 200_000}))
    with pytest.raises(WeightsError, match="description inside the bundle is damaged"):
        load_bundle(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "model.safetensors")
    answered = []

    def read():
        with pytest.raises(WeightsError, match="a pipe or a device"):
            load_bundle(tmp_path / "model.safetensors")
        answered.append(True)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(5)
    assert answered


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        load_bundle(tmp_path / "absent.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(safetensors.numpy.save({"a": np.zeros(2)}))
    with pytest.raises(WeightsError, match="no bundle"):
        load_bundle(foreign)


def test_a_failed_save_leaves_the_old_file(bundle, path):
    before = path.read_bytes()
    broken = Bundle(bundle.variables, MODEL | {"blocks": 2})
    with pytest.raises(WeightsError, match="is missing"):
        save_bundle(path, broken)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
