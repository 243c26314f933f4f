from . import weights
from .afrd import AFRD, make_model
from .config import ModelConfig
from .device import describe_device, pick_device
from .evidence import resize, smooth
from .fusion import fuse_evidence
from .inputs import compute_inputs, teacher_size
from .teacher import IMAGENET, TEACHERS, Teacher, load_teacher

__all__ = [
    "AFRD",
    "IMAGENET",
    "TEACHERS",
    "ModelConfig",
    "Teacher",
    "compute_inputs",
    "describe_device",
    "fuse_evidence",
    "load_teacher",
    "make_model",
    "pick_device",
    "resize",
    "smooth",
    "teacher_size",
    "weights",
]
