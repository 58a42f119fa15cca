"""HR images for training and evaluation, and the stream of patches cut from them. NumPy and TensorFlow; no JAX."""
