"""Checkpoints of USRNet and DRUNet are recognised with all sizes and tensors. The authors' files are not needed."""

import time

import jax
import numpy as np
import pytest

from blindsr_jax.errors import WeightsError
from blindsr_jax.networks import build
from blindsr_jax.weights import official
from blindsr_jax.weights.bundle import load_bundle, save_bundle

NC, N, H = (4, 5, 6, 7), 3, 8


def _resunet(blocks, prefix="", bias=False):
    """Names and shapes of the tensors as PyTorch's Sequentials give them."""
    shapes = {"m_head": (NC[0], 4, 3, 3), "m_tail": (3, NC[0], 3, 3)}

    def block(name, width):
        shapes.update({f"{name}.res.{i}": (width, width, 3, 3) for i in (0, 2)})

    for level in (1, 2, 3):
        above, below = NC[level - 1], NC[level]
        for i in range(blocks):
            block(f"m_down{level}.{i}", above)
            block(f"m_up{level}.{i + 1}", above)
        shapes[f"m_down{level}.{blocks}"] = (below, above, 2, 2)
        shapes[f"m_up{level}.0"] = (below, above, 2, 2)  # transposed: input channels first
    for i in range(blocks):
        block("m_body" if blocks == 1 else f"m_body.{i}", NC[3])
    tensors = {f"{prefix}{name}.weight": shape for name, shape in shapes.items()}
    for name, shape in shapes.items() if bias else ():
        transposed = "m_up" in name and name.endswith(".0")
        tensors[f"{prefix}{name}.bias"] = (shape[1 if transposed else 0],)
    return tensors


def _state(model, blocks=2, bias=False):
    if model == "drunet":
        shapes = _resunet(blocks, bias=bias)
    else:
        layers = {"0": (H, 2), "2": (H, H), "4": (2 * N, H)}
        shapes = _resunet(blocks, "p.") | {f"h.mlp.{i}.weight": (*shape, 1, 1) for i, shape in layers.items()}
        shapes |= {f"h.mlp.{i}.bias": shape[:1] for i, shape in layers.items()}
    generator = np.random.default_rng(0)
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def _load(tmp_path, monkeypatch, state):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"stands for the file that holds these tensors")
    monkeypatch.setattr(official, "read_torch_checkpoint", lambda path: dict(state))
    return official.load_official(path)


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize(("model", "bias"), [("usrnet", False), ("drunet", False), ("drunet", True)])
def test_every_tensor_has_a_place(tmp_path, monkeypatch, model, blocks, bias):
    state = _state(model, blocks, bias)
    bundle = _load(tmp_path, monkeypatch, state)
    assert bundle.model["features"] == list(NC)
    assert bundle.model["blocks"] == blocks
    if model == "usrnet":
        assert (bundle.model["iterations"], bundle.model["hyper_features"]) == (N, H)
    sums = sorted(float(np.float64(x).sum()) for x in state.values())
    placed = sorted(float(np.float64(x).sum()) for x in jax.tree.leaves(bundle.variables))
    np.testing.assert_allclose(placed, sums, atol=1e-9)


def test_a_bundle_of_it_is_the_same_model(tmp_path, monkeypatch):
    bundle = _load(tmp_path, monkeypatch, _state("usrnet"))
    save_bundle(tmp_path / "usrnet.safetensors", bundle)
    again = load_bundle(tmp_path / "usrnet.safetensors")
    assert again.model == bundle.model
    assert build(**again.model) == build(**bundle.model)
    jax.tree.map(np.testing.assert_array_equal, again.variables, bundle.variables)


@pytest.mark.parametrize("model", ["usrnet", "drunet"])
def test_missing_and_unknown_tensors_are_named(tmp_path, monkeypatch, model):
    state = _state(model)
    prefix = "p." if model == "usrnet" else ""
    for name in (f"{prefix}m_up3.1.res.0.weight", f"{prefix}m_down2.2.weight", f"{prefix}m_body.1.res.2.weight"):
        rest = {key: x for key, x in state.items() if key != name}
        with pytest.raises(WeightsError, match="missing"):
            _load(tmp_path, monkeypatch, rest)
    for name in ("m_up3.9.res.0.weight", "other.weight"):
        with pytest.raises(WeightsError, match=f"{prefix}{name} has no place"):
            _load(tmp_path, monkeypatch, state | {f"{prefix}{name}": np.zeros((3, 3, 3, 3), np.float32)})
    with pytest.raises(WeightsError, match="no part of"):
        _load(tmp_path, monkeypatch, state | {f"{prefix}m_up1.0.bias": np.zeros(4, np.float32)})


def test_a_misshapen_tensor_is_named(tmp_path, monkeypatch):
    state = _state("usrnet") | {"h.mlp.2.weight": np.zeros((H, H + 1, 1, 1), np.float32)}
    with pytest.raises(WeightsError, match="hyper/fc2/kernel"):
        _load(tmp_path, monkeypatch, state)
    with pytest.raises(WeightsError, match="convolution"):
        _load(tmp_path, monkeypatch, state | {"h.mlp.4.weight": np.zeros(6, np.float32)})


def test_a_checkpoint_without_blocks_is_refused(tmp_path, monkeypatch):
    state = {name: x for name, x in _state("drunet").items() if "m_down1" not in name}
    with pytest.raises(WeightsError, match="m_down1"):
        _load(tmp_path, monkeypatch, state)


@pytest.mark.parametrize(
    ("blocks", "message"), [(1500, "arrays, at most"), (300, "blocks of the model must be at most")]
)
def test_more_blocks_than_any_network_has_are_refused_at_once(tmp_path, monkeypatch, blocks, message):
    names = _resunet(blocks)
    if blocks == 300:
        names = {name: shape for name, shape in names.items() if "res.2" not in name}
    started = time.monotonic()
    with pytest.raises(WeightsError, match=message):
        _load(tmp_path, monkeypatch, {name: np.zeros((1, 1, 1, 1), np.float32) for name in names})
    assert time.monotonic() - started < 2
