"""Which cluster a command gets, and those that stay or run as a batch job."""
