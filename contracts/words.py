"""Words that workflows, activities and the command line have in common."""

from __future__ import annotations


def sized(number: int) -> str:
    """A number of bytes as people read it: `812 bytes`, `48.2 kB`, `12.3 MB`. A kB is 1,000 bytes."""
    if number < 1_000:
        return f"{number} byte{'' if number == 1 else 's'}"
    value = number / 1_000
    for unit in ("kB", "MB", "GB"):
        # What would be rounded to 1000.0 belongs to the next unit.
        if value < 999.95:
            return f"{value:.1f} {unit}"
        value /= 1_000
    return f"{value:,.1f} TB"
