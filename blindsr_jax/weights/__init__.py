"""Weights in files: this package's bundles and the authors' PyTorch checkpoints."""
