"""Sockets for the pure rooms: HTTP for `apiserver`, UDP and TCP for `dns`, health checks."""
