"""A picture's way through ``blindsr restore``: calls between rooms lead downward only."""

import os
import pathlib
import sys
import threading

import blindsr_jax
from tests.cli.commands import restore
from tests.test_house import FLOOR_OF

ROOT = f"{pathlib.Path(blindsr_jax.__file__).parent}{os.sep}"


def _room(frame):
    name = frame.f_code.co_filename
    return name[len(ROOT) :].split(os.sep)[0].removesuffix(".py") if name.startswith(ROOT) else None


def test_calls_between_rooms_lead_downward(place):
    calls = set()

    def note(frame, event, _):
        if event != "call" or (callee := _room(frame)) is None:
            return
        caller = frame.f_back
        while caller is not None and _room(caller) is None:
            caller = caller.f_back
        if caller is not None and _room(caller) != callee:
            calls.add((_room(caller), callee, frame.f_code.co_name))

    sys.setprofile(note)
    threading.setprofile(note)  # a picture is restored in a thread, so that Ctrl-C ends it
    try:
        assert restore(place, place / "in" / "a.png", "-o", place / "out.png", "--overwrite") == 0
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert {("cli", "images"), ("cli", "inference"), ("inference", "networks")} <= {call[:2] for call in calls}
    assert not [call for call in calls if FLOOR_OF.get(call[1], -1) > FLOOR_OF.get(call[0], -1)]
