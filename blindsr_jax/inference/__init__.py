"""Using a model: arrays in and out, files in and out, pictures of what it did."""
