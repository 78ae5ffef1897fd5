"""Checkpoints: finding one by name, loading it, and keeping exactly one of them alive."""
