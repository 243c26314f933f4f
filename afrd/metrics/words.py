"""Numbers in sentences."""


def counted(number: int, one: str, many: str = "") -> str:
    """Such as `1 cell`, `2 cells`, `3 categories`; `many` where it has no plain plural."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"
