"""Identities: cut off from the cluster, their credentials ended, what they could read replaced (guide U1 to U8)."""
