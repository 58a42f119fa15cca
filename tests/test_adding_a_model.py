"""docs/adding_a_model.md, carried out: three edits, and a model trains, is stored, loads and restores."""

import pathlib
import re

import jax
import numpy as np
from PIL import Image

from blindsr_jax import config as config_lib
from blindsr_jax.cli import main
from blindsr_jax.config import defaults
from blindsr_jax.images.reading import read_rgb
from blindsr_jax.inference.loading import load
from blindsr_jax.networks import registry
from blindsr_jax.training.results import bundle_of
from blindsr_jax.training.setup import batches_of, state_of, training_source, updates_of
from blindsr_jax.training.sharding import data_mesh, put_batch
from blindsr_jax.weights.bundle import save_bundle

PAGE = (pathlib.Path(__file__).parents[1] / "docs" / "adding_a_model.md").read_text()


def test_three_edits_are_enough(tmp_path, monkeypatch, photo):
    network, name, settings = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.setattr(registry, "MODELS", dict(registry.MODELS))
    monkeypatch.setattr(defaults, "MODEL_SECTIONS", dict(defaults.MODEL_SECTIONS))
    monkeypatch.setattr("blindsr_jax.config.validation.MODEL_SECTIONS", defaults.MODEL_SECTIONS)
    module = {"__name__": "sharpener"}
    exec(network, module)
    exec(name, vars(registry) | {"Sharpener": module["Sharpener"]})
    exec(settings, vars(defaults))

    config = config_lib.default("sharpener", 2)
    config.data.batch_size, config.data.patch, config.model.features = 4, 16, 4
    config_lib.validate(config)
    mesh = data_mesh()
    start = state_of(config, mesh)
    before = jax.tree.map(np.asarray, start.params)
    batch = next(batches_of(config, training_source(config), 0))
    state, metrics = updates_of(config, mesh)(1)(start, put_batch(mesh, batch))
    assert np.isfinite(metrics["loss_sr"])
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max() > 0, before, state.params)
    assert all(jax.tree.leaves(moved))

    save_bundle(tmp_path / "sharpener.safetensors", bundle_of(config, state))
    model = load(tmp_path / "sharpener.safetensors")
    assert model.restore(photo[:24, :32]).shape == (48, 64, 3)
    assert model(np.float32(photo[None, :24, :32]) / 255, trace=True).trace.sr.shape == (3, 1, 48, 64, 3)

    (tmp_path / "in").mkdir()
    sizes = (9, 40), (31, 17)
    for height, width in sizes:
        Image.fromarray(photo[:height, :width]).save(tmp_path / "in" / f"{height}.png")
    paths = [str(tmp_path / part) for part in ("in", "out", "sharpener.safetensors")]
    assert main(["restore", paths[0], "-o", paths[1], "--model", paths[2]]) == 0
    for height, width in sizes:
        among_others, alone = read_rgb(tmp_path / "out" / f"{height}.png"), model.restore(photo[:height, :width])
        assert np.abs(np.int32(among_others) - alone).max() <= 1
