"""containerd in the node: its settings and its command line."""

from __future__ import annotations

from devstack.real_node.names import PAUSE_IMAGE
from devstack.real_node.plan import CONTAINERD_SOCKET

FILE = "lib/containerd/config.toml"
"""Below the node's /var, as are the plugins' settings."""
PLUGIN_SETTINGS = "lib/cni/net.d/10-firebreak.conflist"
PLUGIN_FOLDER = "/usr/lib/cni"
"""Where Debian has the CNI plugins."""
IMAGES_NAMESPACE = "k8s.io"
"""The namespace of containerd in which the kubelet looks."""


def settings(snapshotter: str) -> str:
    """The configuration, in version 2 of its format, which containerd 1.6 and later read.

    Args:
        snapshotter: overlayfs, or native where the file system below cannot carry an overlay.
    """
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
# It would make a folder in the host's /opt.
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # The host may not let this process make others less likely to be killed than it is itself.
  restrict_oom_score_adj = true
  # A profile would be loaded into the host's kernel, and stay.
  disable_apparmor = true

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGIN_FOLDER}"
    conf_dir = "/var/lib/cni/net.d"
"""


def command() -> list[str]:
    """How it is started inside of the node."""
    return ["containerd", "--config", f"/var/{FILE}", "--log-level", "warn"]
