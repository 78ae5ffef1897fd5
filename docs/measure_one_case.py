"""Measure one case without pytest and print its record: ``python docs/measure_one_case.py``."""

from blip_fixtures.case import Case
from blip_fixtures.engine import Job, Session

sizes = {"batch_size": 4, "image_size": 224, "sequence_length": 50}
case = Case(model="instructblip-tiny", dataset="textvqa", device="cpu", optimization="fp32", **sizes)
with Session() as session:
    record = session.measure(Job.of(case, rounds=5, passes=("latency", "phases", "quality")))
print(record.to_json())
