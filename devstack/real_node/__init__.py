"""A real node: containerd, runc, CNI plugins and the kubelet on this machine, joined to the embedded control plane.

It is a machine of its own as far as Linux can make one without a second kernel: its processes have their own view of
processes, mounts, network and host name (``machine`` makes it, ``boot`` is the first process in it). What it mounts,
which links, routes and firewall rules it makes ends with it, however it ends, and none of it is the host's. On the host
itself are one link to it and its cgroups, which ``lifecycle`` takes away.

``lifecycle`` is what the stack calls; ``pods`` and ``images`` are what a test calls.
"""
