"""Reading GuardDuty findings: any published shape becomes one frozen ``Finding``. Pure, no I/O.

``model`` is what a finding is, ``reader`` makes it from JSON, ``subject`` says whom it is about, and ``catalogue``
knows the finding types.
"""
