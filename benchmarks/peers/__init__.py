"""The originals in plain PyTorch, to be timed beside this package.

Nothing here imports JAX or the package, so that it runs in an environment that has PyTorch alone.
"""
