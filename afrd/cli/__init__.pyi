from . import app, commands, lights

__all__ = ["app", "commands", "lights"]
