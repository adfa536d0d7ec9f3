"""The embedded stack: a real Kubernetes control plane, a real Temporal server and a stand-in for AWS, on this machine.

It serves the demo, the tests and the benchmarks; the product itself never imports it. Start with ``devstack.stack``.
"""
