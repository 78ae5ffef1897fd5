"""Where jobs are measured: in this process by an engine session, or by the actors of a Ray cluster.

`base.py` has what a run asks of either. `engine.session.Session` is the one at home as it stands; `ray/` has the other,
and it alone knows Ray.
"""
