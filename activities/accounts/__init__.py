"""Service accounts: a new identity for each compromised one, so that no token of the old one is worth anything."""
