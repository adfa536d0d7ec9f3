"""What a container is from outside of it: its processes, sockets, mounts and changed files, as its node sees them.

A pod of Firebreak's own looks at /proc and at the layers of containers, on the node, for as long as that takes. Nothing
of it happens inside the compromised pod, so whoever sits in there does not see it (docs/decisions/0026).
"""
