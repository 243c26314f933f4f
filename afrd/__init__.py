"""AFRD: attention fusion reverse distillation for parts photographed under several lights.

import afrd
data = afrd.open_dataset("data/candies", "Praline")
run = afrd.fit(data, lights="all", out="runs/praline")
prediction = run.predict(data["test_public"][25], lights=["top", "box"])

The method follows Zhang, Cao, Zhang and Shen (CASE 2024, https://arxiv.org/abs/2406.04573); this is an independent
re-implementation.
"""

import lazy_loader as lazy

# A name is imported when it is first used, so that `afrd --help` and the page need not wait for torch.
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
