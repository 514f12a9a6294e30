"""adagen-rt: run image generators whose schedule is chosen per sample by a policy network."""
