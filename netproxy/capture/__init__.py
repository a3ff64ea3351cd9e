"""Captured packets as values: files, decoding, interfaces."""
