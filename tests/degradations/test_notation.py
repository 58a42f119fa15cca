"""Degradations as text, there and back, and what is refused."""

import pathlib

import hypothesis
import pytest
from hypothesis import strategies

from blindsr_jax.degradations.notation import steps_from_text, text_of_steps
from blindsr_jax.degradations.orders import ORDERS
from blindsr_jax.degradations.steps import STEPS

EXAMPLES = {
    "blur": 'blur(kernels=anisotropic(isotropic_rate=0.5, sigma=(0.6, 5.0)), mode="symmetric", rate=0.8)',
    "sharpen": "sharpen((0.2, 1.0), radius=2.0, rate=0.3, threshold=10.0)",
    "downsample": 'downsample("s_fold")',
    "resize": 'resize((0.15, 1.5), ("area", "box"), relative_to="image", up_rate=0.2, down_rate=0.7)',
    "noise": "noise((0, 15), free_rate=0.1, grey_rate=0.4)",
    "shot_noise": "shot_noise((1.0, 9.0), 0.5)",
    "poisson_noise": "poisson_noise((0.05, 3.0), 0.4)",
    "correlated_noise": "correlated_noise((5, 25))",
    "clip": "clip",
    "jpeg": 'jpeg((30, 95), 0.9, "444")',
    "round8": 'round8("down")',
    "one_of": "one_of(((downsample(),), (blur(motion(length=(0.0, 3.0))), clip()), ()), (0.5, 0.25, 0.25))",
    "shuffled": "shuffled((noise((0, 9)), jpeg(), clip()), before=((0, 1),))",
}


def test_every_step_is_written_and_read_back():
    assert set(EXAMPLES) == set(STEPS), "an example for each step"
    for name, text in EXAMPLES.items():
        (step,) = steps = steps_from_text(text, 4)
        assert step.name == name
        assert name == "clip" or text_of_steps(steps) != f"{name}()", "the example sets an option"
        assert steps_from_text(text_of_steps(steps), 4) == steps
    together = steps_from_text(",\n".join(EXAMPLES.values()) + ",", 4)
    assert len(together) == len(EXAMPLES)
    assert steps_from_text(text_of_steps(together), 4) == together


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["classic", "photo", "real_esrgan", "realdan", "bsrgan"])
def test_every_order_is_written_and_read_back(name, scale):
    assert name in ORDERS
    steps = steps_from_text(name, scale)
    assert steps == steps_from_text(f"{name}()", scale) == ORDERS[name](scale)
    assert steps_from_text(text_of_steps(steps), scale) == steps
    assert hash(steps) == hash(steps_from_text(text_of_steps(steps), scale))


def test_an_order_takes_options_and_a_place_among_steps():
    changed = steps_from_text("photo(jpeg_rate=1.0, kernels=motion(length=(0.0, 4.0)))", 2)
    assert changed == ORDERS["photo"](2, jpeg_rate=1.0, kernels=changed[0].kernels)
    assert changed[0].kernels.sampler == "motion"
    assert steps_from_text("sharpen(), classic(), jpeg()", 2)[1:-1] == ORDERS["classic"](2)
    (either,) = steps_from_text("one_of(((photo,), (downsample(), classic)), (0.5, 0.5))", 2)
    assert either.branches == (ORDERS["photo"](2), (*steps_from_text("downsample()", 2), *ORDERS["classic"](2)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected steps such as"),
        ("blur(", "expected steps such as"),
        ("jpeg()) + (clip()", "expected steps such as"),
        ("jpeg((30, 95)) jpeg()", "expected steps such as"),
        ("jpeg(rate=1, rate=1)", "has an option twice"),
        ("(" * 500, "expected steps such as"),
        ("jpeg(" + "-" * 20_000 + "1)", "expected steps such as|no plain value"),
        ("5", "'5' is no degradation step"),
        ("blurr()", "no degradation step 'blurr'; known are blur, "),
        ("photo.jpeg()", "no degradation step"),
        ("photo(speed=3)", "'photo': .*speed"),
        ("jpeg(quality=(30, 95), speed=3)", "'jpeg': .*speed"),
        ("jpeg(**{'rate': 1})", "'jpeg'"),
        ("jpeg(*(30, 95))", "no plain value"),
        ("jpeg((95, 30))", "jpeg: quality must be two numbers from 1 to 100"),
        ("jpeg((30.5, 95))", "whole numbers"),
        ("jpeg(50)", "jpeg: quality must be two numbers"),
        ("jpeg(rate='x')", "jpeg: rate must be a number from 0 to 1"),
        ("noise((0, 1e999))", "noise: level must be two numbers from 0 on"),
        ("noise((0, 2**9))", "no plain value"),
        ("resize((1, 1e9))", "resize: size must be two numbers from 0.05 to 16"),
        ("resize(kinds='box')", "resize: kinds must be one or more names"),
        ("resize(up_rate=0.2)", "give up_rate and down_rate"),
        ("resize((0.5, 0.9), up_rate=0.2, down_rate=0.1)", "from at most to at least 1"),
        ("blur(5)", "blur: kernels must be a sampler"),
        ("blur(downsample())", "is no kernel sampler with options"),
        ("blur(isotropic((0.2, 4)))", "is no kernel sampler with options"),
        ("blur(isotropic(width=2))", "have no option width"),
        ("blur(isotropic)", "need the option sigma"),
        ("blur(motion, mode='zero')", "blur: mode"),
        ("round8('up')", "round8: direction must be 'nearest' or 'down'"),
        ("one_of((jpeg(), clip()), (0.5, 0.5))", "each branch must be steps in parentheses"),
        ("one_of(((jpeg(),), (clip(),)), (0.5, 0.6))", "sum to one"),
        ("one_of(((jpeg(),),), (0.5, 0.5))", "one share for each of 1 branches"),
        ("shuffled((jpeg(), 5))", "steps in parentheses"),
        ("shuffled((jpeg(),))", "2 to 7 steps, not 1"),
        ("shuffled((jpeg(), clip()), before=((0, 2),))", "pairs of positions from 0 to 1"),
        ("shuffled((jpeg(), clip()), before=((0, 1), (1, 0)))", "no order of the steps"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(text, message):
    with pytest.raises(ValueError, match=message) as refused:
        steps_from_text(text, 4)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch {0}')",
        "jpeg(rate=__import__('os').system('touch {0}'))",
        "jpeg(rate=open('{0}', 'w').write('x'))",
        "jpeg(rate=(lambda: open('{0}', 'w'))())",
        "jpeg(rate=[open('{0}', 'w') for _ in (1,)])",
        "blur(motion(length=eval(\"open('{0}', 'w')\")))",
        "one_of(((exec(\"open('{0}', 'w')\"),),), (1.0,))",
        'jpeg(rate=f\'{{open("{0}", "w")}}\')',
    ],
)
def test_nothing_is_executed(tmp_path, text):
    trace = pathlib.Path(tmp_path / "trace")
    with pytest.raises(ValueError):
        steps_from_text(text.format(trace), 4)
    assert not trace.exists()


_WORDS = [*STEPS, *ORDERS, "isotropic", "sigma", "rate", "(", ")", ",", "=", "0.5", "'", '"', "*", "\n", "#", "[", "\0"]


@hypothesis.given(
    strategies.lists(strategies.sampled_from(_WORDS), max_size=12).map("".join) | strategies.text(max_size=30)
)
@hypothesis.settings(deadline=None)
def test_any_text_gives_steps_or_a_reason(text):
    try:
        steps = steps_from_text(text, 2)
    except ValueError as error:
        assert str(error)
    else:
        assert all(type(step) in STEPS.values() for step in steps)
