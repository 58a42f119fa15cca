"""The original networks in plain PyTorch, for timing against this package.

Nothing here imports JAX or the package, so an environment with only PyTorch and NumPy can run it.
"""
