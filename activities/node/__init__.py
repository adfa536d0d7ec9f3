"""Nodes: cordoned, protected, isolated, collected, drained and terminated (guide N1 to N4, P9)."""
