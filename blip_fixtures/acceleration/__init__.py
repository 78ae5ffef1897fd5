"""What optimizations are made of: packed linear layers, compiled generation, attention kernels."""
