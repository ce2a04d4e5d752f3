"""The parts of ``harness.stats``, which is where their public names are imported from."""
