"""Deterministic: RemediateFinding, one workflow a path, ReleaseContainment, SweepContainment. `registry` lists them."""
