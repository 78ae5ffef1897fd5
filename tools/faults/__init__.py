"""The campaign of faults: runs that are killed, stopped, starved of disk, fed with hostile files, and what is left."""
