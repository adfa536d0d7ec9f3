"""The verbs: typed request → client call → heartbeat → typed result. `registry` lists them for the worker."""
