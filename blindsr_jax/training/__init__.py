"""Training: state, optimiser, step, checkpoints and the loop around them."""
