"""What a report says of the device, and of float32 on it."""

import types

import jax
import pytest

from blindsr_jax.evaluation.machine import machine


def test_a_cpu_multiplies_in_float32_whatever_is_asked_for():
    assert machine() == {"device": jax.devices()[0].device_kind, "products": "float32"}
    with jax.default_matmul_precision("bfloat16"):
        assert machine()["products"] == "float32"


@pytest.mark.parametrize(
    "platform, asked, products",
    [
        ("tpu", None, "bfloat16, the default there"),
        ("gpu", None, "TF32 where the device has it, the default there"),
        ("gpu", "highest", "highest"),
        ("another", None, "the default there"),
    ],
)
def test_an_accelerator_multiplies_in_what_is_asked_for(monkeypatch, platform, asked, products):
    device = types.SimpleNamespace(platform=platform, device_kind="a kind")
    monkeypatch.setattr(jax, "devices", lambda: [device])
    with jax.default_matmul_precision(asked):
        assert machine() == {"device": "a kind", "products": products}
