"""Settings of the cluster that let somebody in: bindings of anonymous users, exposed Services, suppression rules."""
