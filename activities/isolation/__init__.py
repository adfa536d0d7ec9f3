"""Cuts pods off from the network, proves it from live objects, and keeps account of which incident holds what."""
