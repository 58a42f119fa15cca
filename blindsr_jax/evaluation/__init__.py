"""Scores: a protocol's test images through a model, one row each, and the reports made of the rows."""
