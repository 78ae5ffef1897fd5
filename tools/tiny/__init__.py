"""The synthetic world, the packaged datasets drawn from it, and the checkpoint `instructblip-tiny` trained on it."""
