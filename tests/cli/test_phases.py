"""``--timing``: every second belongs to one phase."""

import re
import time

import jax
import pytest
from PIL import Image

from blindsr_jax.cli import main
from blindsr_jax.cli.phases import Phases
from tests.drawn_pictures import draw_pictures


def _seconds(line):
    return {name: float(value) for name, value in re.findall(r"(\w+) (\d+\.\d+)[, (]", line)}


def test_compiling_is_taken_off_the_phase_around_it():
    phases = Phases()
    with phases.listening(), phases.phase("computing"):
        time.sleep(0.2)
        jax.monitoring.record_event_duration_secs("/jax/core/compile/backend_compile_duration", 0.15)
    for item in phases.each([1, 2], "writing"):
        assert item in (1, 2)
        time.sleep(0.1)  # the time after an item is not that of making it
    found = _seconds(phases.told())
    assert found["compiling"] == pytest.approx(0.15, abs=0.01)
    assert 0.04 < found["computing"] < 0.15
    assert found["writing"] < 0.05
    jax.monitoring.record_event_duration_secs("/jax/core/compile/backend_compile_duration", 1.0)
    assert "programs: 1, kept from before: 0" in phases.told(), "it listens only while it is asked to"


@pytest.mark.usefixtures("nothing_compiled")
def test_restore_says_where_the_time_went(tmp_path, capsys):
    picture = next(draw_pictures(tmp_path, 1).glob("*.png"))
    with Image.open(picture) as image:
        image.crop((0, 0, 40, 24)).save(picture)
    assert main(["restore", str(picture), "-o", str(tmp_path / "out.png"), "--timing"]) == 0
    line = capsys.readouterr().err.strip().splitlines()[-1]
    total, parts = float(re.match(r"timing: (\d+\.\d+) s", line).group(1)), _seconds(line)
    assert parts.keys() == {"starting", "reading", "tracing", "compiling", "computing", "writing"}
    assert parts["tracing"] > 0
    assert sum(parts.values()) <= total + 0.1
