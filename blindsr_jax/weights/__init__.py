"""Weights on disk: our bundles, and the authors' PyTorch checkpoints."""
