"""Sockets for the pure rooms: HTTP for `apiserver`, health checks, the process of userspace mode."""
