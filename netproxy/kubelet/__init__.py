"""Pods as namespaces and their containers as processes of this machine."""
