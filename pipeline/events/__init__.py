"""The record of what happens to a job."""
