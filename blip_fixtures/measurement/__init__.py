"""The passes: each walks over a case's batches for one purpose."""
