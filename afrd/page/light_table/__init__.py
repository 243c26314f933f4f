"""The light table: one sample under its lights, with the maps of a run."""
