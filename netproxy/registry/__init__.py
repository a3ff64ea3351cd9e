"""The one door for writers: defaults, checks, allocation, what an update may touch, deletion; patches."""
