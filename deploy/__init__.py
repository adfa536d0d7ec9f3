"""Manifests that a cluster needs for Firebreak: RBAC and admission policies, packaged so that `up` can apply them."""
