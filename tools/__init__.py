"""Scripts that made the packaged assets, runnable again."""
