"""The tab Your own sample."""
