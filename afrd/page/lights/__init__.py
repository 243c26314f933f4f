"""The tab Lights."""
