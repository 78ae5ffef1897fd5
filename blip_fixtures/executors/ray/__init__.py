"""Jobs measured on a Ray cluster, one at a time on each machine. Nothing else of the package knows Ray.

`cluster.py` connects and asks the machines, `naming.py` says which of them a name such as ``cuda@H100`` means,
`checks.py` what must be the same everywhere, `measurer.py` is the actor, `workers.py` a machine with its actor,
`undertakings.py` says how a job is handed out, `schedule.py` hands it out, and `bench.py` is the `Bench` of a run.
Ray is imported inside functions: without `--blip-ray` nobody needs it.
"""
