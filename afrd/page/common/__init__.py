"""Code that several tabs share."""
