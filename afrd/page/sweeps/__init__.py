"""The tab Sweeps."""
