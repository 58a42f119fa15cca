"""From a JAX function to an ONNX model: traced with symbols for sizes, and written operation by operation.

JAX images have their channels last, ONNX convolutions want them after the batch. A value therefore knows how its axes
lie in the file, and a transposition in JAX often needs no operation in ONNX. Operations of constants are computed while
writing. Loops are unrolled. An operation that has no form here is refused by its name. ``convert.convert`` does it.
"""
