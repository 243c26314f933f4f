from .afrd import AFRD, make_model
from .config import ModelConfig
from .device import pick_device
from .inputs import teacher_size
from .teacher import TEACHERS, Teacher, load_teacher

__all__ = ["AFRD", "TEACHERS", "ModelConfig", "Teacher", "load_teacher", "make_model", "pick_device", "teacher_size"]
