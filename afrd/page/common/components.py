"""What the components of every tab can do."""

from __future__ import annotations

from typing import Any


class ByName:
    """Base of a dataclass of components: they are filled, and picked, by the names of its fields."""

    def filled(self, values: dict[str, Any]) -> dict[Any, Any]:
        return {getattr(self, name): value for name, value in values.items()}

    def named(self, *names: str) -> list[Any]:
        return [getattr(self, name) for name in names]
