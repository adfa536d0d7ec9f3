"""The door to AWS: one file a service, each made when it is first asked for, and one translation of errors."""

from clients.aws.door import Aws
from clients.aws.errors import translated

__all__ = ["Aws", "translated"]
