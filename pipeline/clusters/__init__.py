"""The cluster that a command gets, clusters that stay, and those that are one batch job."""
