"""Words that every room shares: errors, protocols, addresses, names. Standard library only."""
