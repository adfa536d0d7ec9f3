"""The engine of changes outside of pods: recorded, conditional, held by every incident that needs them, undone last."""
