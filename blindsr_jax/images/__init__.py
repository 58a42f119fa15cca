"""Image files as NumPy arrays: safe reading, writing row by row, formats, metadata, folders, and kernel files."""
