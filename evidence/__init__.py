"""Chain of custody: stores that write once, entries, numbered manifests, and verification.

Nothing in here knows Temporal, Kubernetes or the contracts: what comes in are keys, bytes and entries.
"""
