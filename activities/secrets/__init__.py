"""Secrets that a compromised identity could read: which they are, who makes new ones, and tasks for the rest."""
