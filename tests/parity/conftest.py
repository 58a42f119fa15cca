import pytest


@pytest.fixture(autouse=True)
def optimised(compile_as_users):
    """The numbers that are compared with the authors' are those that users get."""
