"""Evaluation: score a model on a protocol's test images, and write reports of the scores."""
