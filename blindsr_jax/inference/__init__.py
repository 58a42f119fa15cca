"""Inference: load models, and restore batches and images of any size with them."""
