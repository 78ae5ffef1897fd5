"""Bridges: an image becomes the query vectors that a language model reads. One file is one way to do it."""
