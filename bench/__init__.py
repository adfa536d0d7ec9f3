"""Measures what the design promises, on the embedded stack: `python -m bench`. docs/how-to/benchmarks.md reads it."""
