"""What others must know to meet the real node: its name, its label and taint, and the images that it has."""

from __future__ import annotations

NODE_NAME = "real-node"
PROCESS = "real-node"
"""The name of the node among the processes of a stack; to end it is to cut the machine's power."""

LABEL = "firebreak.dev/real-node"
LABEL_VALUE = "true"
"""Label and taint are the same pair. The taint (NoSchedule) keeps everything away that does not ask to run there."""

PAUSE_IMAGE = "firebreak.dev/real-node/pause:1"
BUSYBOX_IMAGE = "firebreak.dev/real-node/busybox:1"
DEMO_IMAGE = "firebreak.dev/real-node/demo:1"
DEMO_PORT = 8080
"""On which the demo image listens."""
