"""Replaces what is compromised: the fixed image into the templates, the rollout watched, the old pods deleted."""
