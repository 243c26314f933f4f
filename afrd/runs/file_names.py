"""Names of the files in a run folder that several modules read."""

CONFIG = "config.json"
WEIGHTS = "model.safetensors"  # written last: a folder that has it is a finished run
CALIBRATION = "calibration.safetensors"
CHECKPOINT = "checkpoint.safetensors"  # of a training that is not finished
