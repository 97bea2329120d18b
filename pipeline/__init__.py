"""What is computed: commands, jobs, plans, the sweep over a Zarr array, and reports."""
