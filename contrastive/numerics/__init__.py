"""Numerical helpers that know nothing of models: precision, chunks, thresholds, the optimal log normaliser."""
