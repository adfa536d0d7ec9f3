"""Settings of the cluster that let somebody in: bindings, and exposed Services and Ingresses."""
