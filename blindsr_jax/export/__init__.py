"""Networks with their weights in files that run without this package: StableHLO for JAX, and ONNX."""
