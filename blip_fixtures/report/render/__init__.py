"""Blocks to text: one module is one form."""
