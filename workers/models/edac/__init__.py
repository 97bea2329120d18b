"""Flow: the scheme, its grid and boundaries, blocks of it on a device, and flows to begin with."""
