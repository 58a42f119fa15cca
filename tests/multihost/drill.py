"""Kills one of two processes at random moments, again and again.

Every resume must go on from a complete checkpoint, and the final state must equal that of a run that nobody touched,
bit for bit:

    python -m tests.multihost.drill --kills 20 --terms 5
"""

import argparse
import pathlib
import random
import re
import signal
import sys
import tempfile
import time

from tests.drawn_pictures import draw_pictures
from tests.multihost.processes import log_of, start, wait

STEPS, EVERY = 600, 15
_QUICK = ["--config.validation.every=1000000", f"--config.checkpoint.every={EVERY}", "--join_timeout=20"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="times that one process is killed (SIGKILL)")
    parser.add_argument("--terms", type=int, default=5, help="times that one process is asked to stop (SIGTERM)")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and victims")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return drill(pathlib.Path(folder), options.kills, options.terms, options.steps, options.seed)


def drill(place: pathlib.Path, kills: int, terms: int, steps: int, seed: int) -> int:
    """Runs the drill in a folder and returns the exit code."""
    draw_pictures(place / "pictures")
    rng = random.Random(seed)
    blows = [signal.SIGKILL] * kills + [signal.SIGTERM] * terms
    rng.shuffle(blows)
    arguments = [*_QUICK, f"--config.steps={steps}"]
    saved = 0
    for number, blow in enumerate(blows, 1):
        patience = rng.randint(1, max(steps // (2 * len(blows)), 1))  # so that the run does not end before
        saved = _strike(place, arguments, blow, number, rng, saved, patience)
    for name in ("struck", "whole"):
        codes = wait(start(place, place / name, *arguments), 1200)
        assert codes == [0, 0], f"{name} ended with {codes}: {log_of(place, place / name)[-2000:]}"
    differing = _differing(place, steps)
    print(f"final states after {kills} kills and {terms} requests: {differing or 'equal'}", flush=True)
    return 1 if differing else 0


def _strike(place, arguments, blow, number, rng, saved, patience):
    """Starts the run, lets it do ``patience`` steps, strikes one process, and returns the newest step that is saved."""
    workdir, victim = place / "struck", rng.randrange(2)
    before = len(log_of(place, workdir)) if (place / "struck.0.log").exists() else 0
    started = start(place, workdir, *arguments)
    early = blow == signal.SIGKILL and rng.random() < 0.2
    if not early:
        _wait_for(lambda: len(_steps(log_of(place, workdir)[before:])) >= patience, started)
    time.sleep(rng.uniform(0, 8 if early else 0.3))
    struck = time.monotonic()
    started[victim].send_signal(blow)
    codes = wait(started, 200)
    seconds = time.monotonic() - struck
    assert 0 not in codes, f"the run ended before it was struck {number} times: more --steps"
    text = log_of(place, workdir)[before:]
    steps, now = _steps(text), _saved(workdir)
    resumed = re.search(r"going on from step (\d+)", text)
    moment = f"step {steps[-1]}" if steps else "starting"
    print(
        f"{number}: {blow.name} to process {victim} at {moment}; codes {codes} after {seconds:.1f} s; "
        f"had gone on from {resumed[1] if resumed else 0}, saved {now}",
        flush=True,
    )
    assert now >= saved, "a complete checkpoint was lost"
    assert not resumed or int(resumed[1]) == saved, "the newest complete checkpoint was not the one gone on from"
    if blow == signal.SIGTERM:
        assert codes == [75, 75], f"not both saved: {log_of(place, workdir)[before:]}"
        assert f"SIGTERM: saved step {now}" in text
    else:
        assert codes[1 - victim] in (75, -signal.SIGABRT), f"the other process did not notice: {text[-2000:]}"
    return now


def _wait_for(condition, started) -> None:
    while not condition():
        assert all(process.poll() is None for process in started), "ended early"
        time.sleep(0.05)


def _steps(text: str) -> list[int]:
    return [int(step) for step in re.findall(r"\[(\d+)\] train", text)]


def _saved(workdir: pathlib.Path) -> int:
    return max((int(path.name) for path in (workdir / "checkpoints").glob("*") if path.name.isdigit()), default=0)


def _differing(place: pathlib.Path, step: int) -> list[str]:
    """The names of arrays that differ between the final states of the two runs."""
    import jax
    import numpy as np

    from blindsr_jax.training.checkpoints import Checkpoints
    from blindsr_jax.training.setup import abstract_state
    from blindsr_jax.training.sharding import data_mesh
    from tests.multihost.tiny import get_config

    states = []
    for name in ("struck", "whole"):
        with Checkpoints(place / name, read_only=True) as checkpoints:
            states.append(checkpoints.restore(step, abstract_state(get_config(), data_mesh())))
    leaves, others = (jax.tree_util.tree_leaves_with_path(state) for state in states)
    return [
        jax.tree_util.keystr(path)
        for (path, a), (_, b) in zip(leaves, others)
        if np.asarray(a).tobytes() != np.asarray(b).tobytes()
    ]


if __name__ == "__main__":
    sys.exit(main())
