"""Datasets: a parquet row becomes a `Sample`, a sample becomes a prompt."""
