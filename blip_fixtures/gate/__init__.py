"""Records against a baseline: which change is a regression, which is noise. Pure functions, without torch."""
