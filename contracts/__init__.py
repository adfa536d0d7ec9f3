"""What workflows and activities say to each other: names, states, limits and frozen messages. No behaviour, no I/O."""
