"""A short drill; a long one is ``python -m tests.multihost.drill``."""

import pytest

from tests.multihost.drill import drill

pytestmark = pytest.mark.drill


def test_killed_once_and_stopped_once_it_ends_as_if_nothing_had_happened(tmp_path):
    assert drill(tmp_path, kills=1, terms=1, steps=120, seed=0) == 0
