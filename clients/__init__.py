"""The two outward doors: the Kubernetes API and AWS. Each translates errors at one place; neither knows Temporal."""
