"""One node's service proxy: objects → tracker → compiler → plan → driver, in whichever mode."""
