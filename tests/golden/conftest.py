"""``make.py`` needs PyTorch and holds no tests."""

collect_ignore = ["make.py"]
