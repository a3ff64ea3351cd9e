"""What the API server refuses: a module for each group of kinds, in the order and the words of the real one."""
