"""Every kind of bad input of every command: what is typed, what is said, and the exit code."""
