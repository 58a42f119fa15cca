"""A side of a comparison without JAX or PyTorch: ``python -m tests.fake_worker``, started by the test of the harness.

``BENCHMARK_FORMS`` names its forms: ``right`` computes the mean of the input, ``wrong`` something else, ``broken``
cannot be prepared and ``dead`` ends the process. Where weights are drawn, which is on our side, there is only
``right``. ``BENCHMARK_LOG`` is a file to which a run appends when it begins and ends.
"""

import os
import pathlib
import sys
import time

import numpy as np

from benchmarks.serving import Prepared, handlers_of, serve


class Fake:
    drawn = False

    def describe(self):
        return {"answers": 42}

    def forms(self, kind, model):
        names = ["right"] if self.drawn else os.environ["BENCHMARK_FORMS"].split()
        return [{"name": name, "precision": "float32"} for name in names]

    def prepare(self, kind, form, model, arrays):
        if form == "broken":
            raise RuntimeError("no compiler in /somewhere/bin/cc\nmore")
        with np.load(arrays) as file:
            mean = file["lr"].mean(keepdims=True)

        def run():
            if form == "dead":
                sys.exit("out of memory")
            log = pathlib.Path(os.environ["BENCHMARK_LOG"])
            with log.open("a") as file:
                file.write(f"begin {os.getpid()} {form}\n")
                time.sleep(0.25)
                file.write(f"end {os.getpid()} {form}\n")

        return Prepared(run=run, outcome=lambda: {"sr": mean * (1.1 if form == "wrong" else 1.00001)})

    def device_peak(self):
        return None

    def draw(self, model, batch, side, path):
        self.drawn = True
        np.savez(path, lr=np.ones((batch, side, side, 3), np.float32))
        return 1


if __name__ == "__main__":
    print("libraries print what they like")
    fake = Fake()
    serve(handlers_of(fake) | {"draw": fake.draw})
