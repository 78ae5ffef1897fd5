"""Which commit made it worse: ``python -m blip_fixtures.gate bisect``."""
