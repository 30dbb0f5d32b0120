"""Importing what needs torchvision, beside a torch that its wheel was not built for.

Next to a CPU-only torch, the compiled operators of a torchvision wheel from PyPI do not load, and its import fails with
"operator torchvision::nms does not exist" (seen with torchvision 0.28.0). Its models, transforms and data sets need
none of them: with the two operators declared, but not defined, the import succeeds.
"""

import sys
from importlib import import_module
from types import ModuleType

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[torch.library.Library] = []  # a declaration lives as long as its library does


def import_with_torchvision(name: str) -> ModuleType:
    """Import the module `name`, which imports torchvision; declares torchvision's operators if they are missing.

    Raises:
        ImportError: if it, or torchvision, is not installed.
    """
    try:
        return import_module(name)
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(operator + _SCHEMA)
    _declared.append(library)
    packages = ("torchvision", name.partition(".")[0])
    for half_imported in [module for module in sys.modules if module.partition(".")[0] in packages]:
        del sys.modules[half_imported]
    return import_module(name)
