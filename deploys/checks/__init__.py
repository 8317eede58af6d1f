"""Whether a host can take a plan, and whether it is as declared."""
