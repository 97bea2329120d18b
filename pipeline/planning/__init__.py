"""From shapes and bytes to a plan: pure arithmetic, no I/O."""
