"""HR images for training and evaluation, and the stream of training patches. Uses NumPy and TensorFlow, not JAX."""
