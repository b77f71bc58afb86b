"""What named tuples share once packaging has written them out, see ``deploy/erase.py``. Nothing else uses it.

``typing.NamedTuple`` compiles the methods of each class anew whenever its module is imported: a sixth of what a run
with nothing to do costs.
"""

from _collections import _tuplegetter as getter  # as ``collections`` does
from typing import Any, ClassVar, Dict, Iterable, Tuple

__all__ = ["WrittenOut", "getter", "new"]

new = tuple.__new__


class WrittenOut(tuple):  # type: ignore[type-arg]  # `Tuple[Any, ...]` would bring `Generic` into every class
    """The base of a named tuple that was written out, with the methods that a named tuple has."""

    __slots__ = ()
    _fields: ClassVar[Tuple[str, ...]] = ()
    _field_defaults: ClassVar[Dict[str, Any]] = {}

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> Any:
        made = new(cls, iterable)
        if len(made) != len(cls._fields):
            raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
        return made

    def _replace(self, /, **changes: Any) -> Any:
        replaced = self._make(map(changes.pop, self._fields, self))
        if changes:
            raise ValueError(f"Got unexpected field names: {list(changes)!r}")
        return replaced

    def _asdict(self) -> Dict[str, Any]:
        return dict(zip(self._fields, self))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self))
        return f"{type(self).__name__}({shown})"

    def __getnewargs__(self) -> Tuple[Any, ...]:
        return tuple(self)
