"""The progress, the status and the report of a job, for people."""
