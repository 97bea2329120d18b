"""Simulations of flows: from a case file to a store of snapshots."""
