"""How often the gate is right: the study behind the figures of docs/gate.md."""
