"""Makes the import of Gradio write no interface files.

Whenever Gradio is imported it parses the sources of its components and brings the `.pyi` files beside them up to date
(`gradio.component_meta.create_or_modify_pyi`). They are for editors, which find them in the installed package anyway;
this takes 1.0 of 2.3 s, for which every start of the page would wait.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

MODULE, FUNCTION = "gradio.component_meta", "create_or_modify_pyi"


class _WithoutInterfaceFiles(SourceFileLoader):
    """Loads the module, and replaces the function before a component is defined."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if hasattr(module, FUNCTION):  # the name is no part of Gradio's interface
            setattr(module, FUNCTION, lambda *_: None)


class _Finder(MetaPathFinder):
    """Finds this module only, before the usual finders do."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == MODULE else None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _WithoutInterfaceFiles(spec.loader.name, spec.loader.path)
        return spec


def leave_out_interface_files() -> None:
    """Has an effect on the first import of Gradio only, so it must be called before."""
    if MODULE not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
