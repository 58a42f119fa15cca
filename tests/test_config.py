import pathlib

import jax
import numpy as np
import pytest

from blindsr_jax import config as config_lib
from blindsr_jax.degradations import pools
from blindsr_jax.errors import ConfigError
from blindsr_jax.networks import build, init_variables
from blindsr_jax.training.setup import optimizer_of, stages_of
from tests.conftest import drilled

CONFIGS = sorted((pathlib.Path(__file__).parents[1] / "configs").glob("*.py"))


def _load(path):
    scope = {}
    exec(compile(path.read_text(), path, "exec"), scope)
    return scope["get_config"](), scope["__doc__"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_loads_and_validates(path):
    config, text = _load(path)
    config_lib.validate(config)
    build(**config_lib.model_sizes(config))
    assert f"--config configs/{path.name}" in text
    assert "Time:" in text
    assert "Score:" in text
    assert len(path.read_text().splitlines()) < 40
    assert config.model.scale in config_lib.scales_of(config)


def _one_of_each_network():
    """All configs; in CI the first of each network, since others of it have other numbers for the same shapes."""
    seen, paths = set(), []
    for path in CONFIGS:
        name = _load(path)[0].model.name
        paths.append(drilled(path) if name in seen else path)
        seen.add(name)
    return paths


@pytest.mark.parametrize("path", _one_of_each_network(), ids=lambda p: p.stem)
def test_every_config_has_shapes(path):
    config, _ = _load(path)
    network = build(**config_lib.model_sizes(config))
    variables = jax.eval_shape(lambda: init_variables(network, jax.random.key(0)))
    patch, scale = config.data.patch, config.model.scale
    jax.eval_shape(optimizer_of(config).init, variables["params"])
    if not network.blind:
        return
    lr = jax.ShapeDtypeStruct((2, patch, patch, 3), np.float32)
    sr, kernel = jax.eval_shape(lambda v, x: (lambda out: (out.sr, out.kernel))(network.apply(v, x)), variables, lr)
    assert sr is None or sr.shape == (2, patch * scale, patch * scale, 3)
    assert (sr is None) == (config.model.name == "kernelnet")
    assert kernel is None or kernel.shape[-1] == config.degradation.kernel_size
    assert (kernel is None) == (config.model.name in ("dssr", "realdan"))


def test_the_configs_promised_are_there():
    names = {path.stem for path in CONFIGS}
    families = [f"dcls_x{s}" for s in (2, 3, 4)] + ["dcls_setting2_x2", "dcls_setting2_x4"]
    families += ["kerneldan_x2", "kerneldan_x4", "realdan_x4", *(f"ikc_x{s}" for s in (2, 3, 4))]
    families += [f"{m}{kind}_x{s}" for m in ("dan", "danv2") for kind in ("", "_setting2") for s in (2, 3, 4)]
    kernelnets = [f"kernelnet_x{s}" for s in (2, 3, 4)] + ["kernelnet_lite_x2", "kernelnet_lite_x4"]
    assert {*families, *kernelnets, "usrnet", "usrnet_tiny", "dan_lite_x4", "quickstart"} <= names


def test_papers_settings():
    for scale, width in [(2, 2.0), (3, 3.0), (4, 4.0)]:
        config = config_lib.default("danv1", scale)
        assert tuple(config.degradation.sigma) == (0.2, width)
        assert (config.degradation.kernel_size, config.model.code_length) == (21, 10)
    for scale, size, length in [(2, 11, 10), (4, 31, 15)]:
        config = config_lib.setting2(config_lib.default("danv2", scale))
        assert (config.degradation.kernel_size, config.model.code_length) == (size, length)
        assert tuple(config.degradation.sigma) == (0.6, 5.0)
        assert config.degradation.multiplicative_noise == 0.25


def test_kernelnets_recipe():
    for scale in (2, 3, 4):
        config = config_lib.default("kernelnet", scale)
        config_lib.validate(config)
        assert (config.optimizer.learning_rate, config.data.batch_size) == (1e-4, 48)
        assert config.degradation.kernel_size == pools.POOL_SIZES[scale]
        assert abs(config.data.patch * scale - 512) <= 2
        assert config_lib.stage_ends(config) == [config.model.gradient_steps, config.steps]
        assert build(**config_lib.model_sizes(config)) == build("kernelnet", scale=scale)
    assert config_lib.stage_ends(config_lib.default("danv1")) == [400_000]


def test_usrnets_recipe():
    config = config_lib.default("usrnet")
    config_lib.validate(config)
    network = build(**config_lib.model_sizes(config))
    assert network == build("usrnet")
    assert config_lib.scales_of(config) == network.scales == (1, 2, 3, 4)
    assert (config.optimizer.learning_rate, config.data.batch_size) == (1e-4, 48)
    for scale in (2, 3, 4):
        config = config_lib.default("usrnet", scale)
        config_lib.validate(config)
        assert config.data.patch * scale == 96
    (stage,) = stages_of(config)
    assert (stage.scales, stage.until, stage.pool.shape[1:]) == ((1, 2, 3, 4), config.steps, (25, 25))
    blur, downsample, noise, _ = stage.degradation
    assert (blur.mode, downsample.kind, noise.level) == ("circular", "s_fold", (0.0, 25.0))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model.scales", (), "must be some of 1, 2, 3, 4"),
        ("model.scales", (2, 5), r"must be some of 1, 2, 3, 4, got \(2, 5\)"),
        ("model.scales", (2, 2), "must be some of"),
        ("model.features", (16,), "positive whole numbers, at least two"),
        ("model.features", (16, 0), "positive whole numbers, at least two"),
        (
            "model.iterations",
            0,
            r"config\.model: iterations of model 'usrnet' must be a whole number of at least 1, got 0",
        ),
        ("model.scale", 1, "must be one of 2, 3, 4"),
        ("data.patch", 25, r"HR patches of 100 pixels, no multiple of 3, one of config\.model\.scales"),
        ("degradation.kernel", "anisotropic", "must be one of pool"),
        ("degradation.downsample", "bicubic", "must be one of s_fold"),
        ("degradation.blur_mode", "reflect", "must be one of circular"),
        ("degradation.noise_free_rate", 1.5, "0 to 1"),
        ("degradation.noise", (5.0, 1.0), "lowest and highest"),
        ("degradation.kernel_size", 24, "odd"),
    ],
)
def test_bad_values_of_usrnet_are_named(field, value, message):
    config = config_lib.default("usrnet")
    config.update_from_flattened_dict({field: value})
    with pytest.raises(ConfigError, match=message):
        config_lib.validate(config)


def test_configs_are_locked_and_typed():
    config = config_lib.default()
    with pytest.raises(AttributeError, match=r"Did you mean.*batch_size"):
        config.data.batch_sise = 3
    with pytest.raises(TypeError):
        config.data.batch_size = "many"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model.scale", 5, r"config\.model\.scale must be one of 2, 3, 4, got 5"),
        ("degradation.kernel_size", 20, "odd"),
        ("model.code_length", 1000, "code_length must be at most"),
        ("model.supervise", "first", "last, all"),
        ("model.blocks", 0, r"config\.model: blocks of model 'danv1' must be a whole number of at least 1, got 0"),
        ("model.upsampler", "double", "must be stages, single, not double"),
        ("degradation.kernel", "motion", "isotropic, anisotropic, kerneldan"),
        ("degradation.sigma", (3.0, 1.0), "lowest and highest"),
        ("degradation.sigma", (0.0, 1.0), "lowest and highest"),
        ("degradation.noise", (-1.0, 1.0), "lowest and highest"),
        ("data.source", "imagenet", "sample, folder, div2k, shards"),
        ("data.source", "shards", r"'shards': say which with --config\.data\.root=DIR"),
        ("data.source", "folder", r"--config\.data\.root=DIR"),
        ("data.patch", 4, "at least 8"),
        ("optimizer.learning_rate", float("nan"), "at least 0"),
        ("optimizer.kind", "sgd", "adam, muon"),
        ("optimizer.schedule", "step", "halve, cosine"),
        ("optimizer.ema_decay", 1.0, r"\[0, 1\)"),
        ("validation.widths", 9, "1 to 8"),
        ("validation.crop", 8, "at least 64"),
        ("validation.images", -1, "at least 0"),
        ("model.name", "danv2", "the fields are another model's"),
        ("degradation.sigma", (1.0, float("inf")), "lowest and highest"),
        ("degradation.isotropic_rate", 1.5, "0 to 1"),
        ("optimizer.clip_norm", -1.0, "at least 0"),
        ("optimizer.b2", 1.0, r"\[0, 1\)"),
        ("seed", -1, "at least 0"),
        ("precision", "float16", r"config\.precision must be one of float32, bfloat16, got 'float16'"),
        ("on_divergence", "pray", "stop, rollback, got 'pray'"),
        ("rollbacks", 0, "at least 1"),
        ("skip_batches", 0, "at least 1"),
        ("max_rise", -1.0, "at least 0"),
        ("max_rise", 0.5, r"0 \(never\) or more than 1, got 0\.5"),
        ("rise_steps", 0, "at least 1"),
        ("optimizer.halve_at", (100, 0), "at least 1"),
        ("watchdog_seconds", -1, "at least 0"),
        ("recompute", "all", r"config\.recompute must be one of nothing, activations, blocks, got 'all'"),
        ("steps", 0, "at least 1"),
    ],
)
def test_bad_values_are_named(field, value, message):
    config = config_lib.default()
    config.update_from_flattened_dict({field: value})
    with pytest.raises(ConfigError, match=message):
        config_lib.validate(config)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("degradation.kernel", "isotropic", "must be one of pool, got 'isotropic'"),
        ("degradation.downsample", "bicubic", "must be one of s_fold"),
        ("degradation.kernel_size", 16, "odd"),
        ("degradation.noise", (2.0, 1.0), "lowest and highest"),
        ("model.gradient_steps", -1, "at least 0"),
        ("model.gradient_steps", 30_000, "leaves none of config.steps, 22000"),
        ("model.lam", 0.0, "positive"),
        ("model.width", 0, "whole number of at least 1, got 0"),
        ("model.name", "dssr", "the fields are another model's"),
        ("optimizer.learning_rate", -1.0, "at least 0"),
        ("data.patch", 8, "smaller than the blur kernel"),
    ],
)
def test_bad_values_of_kernelnet_are_named(field, value, message):
    config = config_lib.default("kernelnet", 2)
    config.update_from_flattened_dict({field: value})
    with pytest.raises(ConfigError, match=message):
        config_lib.validate(config)


def test_a_recipe_names_the_pool_but_not_its_place():
    a, b = config_lib.default("kernelnet", 2), config_lib.default("kernelnet", 2)
    a.degradation.pool, b.degradation.pool = "/here/camera.npy", "there/camera.npy"
    assert config_lib.recipe(a)["degradation"]["pool"] == "camera.npy"
    assert config_lib.config_hash(a) == config_lib.config_hash(b)
    b.degradation.pool = "there/other.npy"
    assert config_lib.config_hash(a) != config_lib.config_hash(b)


def test_hash_changes_with_any_setting():
    a, b = config_lib.default(), config_lib.default()
    assert config_lib.config_hash(a) == config_lib.config_hash(b)
    b.seed = 1
    assert config_lib.config_hash(a) != config_lib.config_hash(b)


def test_unknown_models_are_named():
    known = "danv1, danv2, dssr, dcls, ikc, kerneldan, realdan, kernelnet, usrnet, dan_lite"
    with pytest.raises(ConfigError, match=known):
        config_lib.default("danv9")
    with pytest.raises(ConfigError, match="scales 2, 3, 4, not 1"):
        config_lib.default("kernelnet", 1)
    with pytest.raises(ConfigError, match="validated at scales 2, 3, 4, not 1"):
        config_lib.default("usrnet", 1)
    with pytest.raises(ConfigError, match="setting 2"):
        config_lib.setting2(config_lib.default("danv2", 1))


@pytest.mark.parametrize("given", ["dan_x4", "dan_x4.py", "configs/dan_x4.py"])
@pytest.mark.parametrize("join", [lambda path: ["--config", path], lambda path: [f"--config={path}"]])
def test_configs_are_found_by_name_from_anywhere(tmp_path, monkeypatch, given, join):
    monkeypatch.chdir(tmp_path)
    expected = str(next(path for path in CONFIGS if path.stem == "dan_x4"))
    assert config_lib.with_found_config(["main", *join(given), "--workdir", "dan_x4"])[1:-2] == join(expected)


@pytest.mark.parametrize("given", ["mine.py", "runs/dan_x4.py", "dan_x4.json", "absent"])
def test_a_users_own_path_stays(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("")
    assert config_lib.with_found_config(["--config", given]) == ["--config", given]


def test_a_users_file_goes_before_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dan_x4.py").write_text("")
    assert config_lib.with_found_config(["--config", "dan_x4.py"]) == ["--config", "dan_x4.py"]
