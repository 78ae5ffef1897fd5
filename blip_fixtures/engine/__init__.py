"""The engine: a case is measured without pytest. `Session.measure(job)` gives its record.

A `Job` is one case with all that measuring it needs, as plain data; `Session` holds what jobs share. Passes are what a
job asks for, one file each. `docs/measure_one_case.py` shows it in ten lines.
"""

from blip_fixtures.engine.preflight import PreflightError
from blip_fixtures.engine.session import Outcome, Session
from blip_fixtures.job import Job, SampleSource

__all__ = ["Job", "Outcome", "PreflightError", "SampleSource", "Session"]
