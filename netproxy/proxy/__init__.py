"""The bridge: what a node's proxy should see (Snapshot), and the rules that it becomes."""
