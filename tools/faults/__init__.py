"""Campaigns of faults and hostile input; `docs/reliability.md` has what they found."""
