"""Picture files, in NumPy: read with care, written row by row; formats, metadata, folders, and kernels in files."""
