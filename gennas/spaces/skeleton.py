"""Settings of the network around the searched part (the *skeleton*): the fields of a space's class."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import MISSING, fields

from gennas.errors import InvalidInputError, short, unknown

#: The greatest value of a skeleton setting: far beyond any network that can be built.
_MOST = 100_000
#: What every space has, but not as a setting.
_OF_ALL = ("name", "template", "size", "absent")


def check_declarations(cls: type) -> None:
    """Refuses a class, while it is made, that declares its settings in another way than as fields.

    Raises:
        InvalidInputError: ``name``, ``template``, ``size`` or ``absent`` is annotated, so that a dataclass would take
            it for a setting; or ``__init__`` takes arguments, which nothing could list, change or compare.
    """
    if (init := cls.__dict__.get("__init__")) and len(inspect.signature(init).parameters) > 1:
        raise InvalidInputError(
            f"space class {cls.__name__} takes settings in __init__(); make them fields, such as 'channels: int = 16', "
            f"and write @dataclass(frozen=True) above 'class {cls.__name__}'."
        )
    for name in _annotated(cls):
        if name in _OF_ALL:
            raise InvalidInputError(
                f"space class {cls.__name__} annotates {name}, as if it were a setting of the skeleton; "
                f"write '{name} = ...' without an annotation, or annotate it as ClassVar."
            )


def check_class(cls: type) -> None:
    """Refuses a class of which no space can be made.

    Raises:
        InvalidInputError: something that every space has is missing; or a setting of the skeleton is no field, has no
            default, or is no whole number.
    """
    missing = [f"{name}()" for name in sorted(getattr(cls, "__abstractmethods__", ()))]
    # Not hasattr: a template may be computed by a space of this class.
    missing += [name for name in _OF_ALL[:2] if inspect.getattr_static(cls, name, None) is None]
    if missing:
        raise InvalidInputError(f"space class {cls.__name__} lacks {', '.join(missing)}; every space has them.")
    known = {field.name for field in fields(cls)}
    for base in reversed(cls.__mro__):
        # Only of a space: a dataclass makes no fields of what another class annotates.
        own = _annotated(base) if hasattr(base, "__dataclass_fields__") else []
        if loose := [name for name in own if name not in (*known, *_OF_ALL)]:
            raise InvalidInputError(
                f"space class {base.__name__} has the setting {loose[0]!r} and is no dataclass, so that nothing can "
                f"change it; write @dataclass(frozen=True) above 'class {base.__name__}'. What is no setting is "
                f"written without an annotation."
            )
    for field in fields(cls):
        if field.type not in (int, "int"):
            kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
            raise InvalidInputError(
                f"setting {field.name!r} of space class {cls.__name__} is annotated as {kind}; settings are whole "
                f"numbers, such as 'channels: int = 16'. What is no setting is written without an annotation."
            )
        if field.default is MISSING:
            raise InvalidInputError(
                f"setting {field.name!r} of space class {cls.__name__} has no default; write '{field.name}: int = ...'."
            )


def skeleton_text(settings: Mapping[str, object]) -> str:
    """Settings in the form that :func:`gennas.spaces.get_space` parses, e.g. ``"channels=16,cells=5"``."""
    return ",".join(f"{name}={value}" for name, value in settings.items())


def parsed_settings(cls: type, settings: str | Mapping[str, int]) -> dict[str, int]:
    """Some settings of a space's class, e.g. ``"channels=16,cells=5"``, as numbers.

    Raises:
        UnknownNameError: the space has no such setting.
        InvalidInputError: a setting is not ``name=integer``, or the integer is not positive (0 is allowed where it is
            the default).
    """
    least = {field.name: int(field.default != 0) for field in fields(cls)}
    if isinstance(settings, str):
        pairs = [part.partition("=") for part in settings.split(",") if part.strip()]
    else:
        pairs = [(name, "=", str(value)) for name, value in settings.items()]
    values = {}
    for name, _, value in pairs:
        if name.strip() not in least:
            raise unknown(f"skeleton setting of {getattr(cls, 'name', cls.__name__)}", name.strip(), least)
        # Not str.isdigit alone, which takes superscripts; nor a number of a thousand digits, which int() refuses.
        digits = value.strip().lstrip("0") if value.strip().isascii() and value.strip().isdigit() else ""
        if not least[name.strip()] and value.strip() and not value.strip().strip("0"):
            # What is 0 by default, such as a switch, can be switched off again.
            digits = "0"
        if not digits or len(digits) > len(str(_MOST)) or int(digits) > _MOST:
            expected = f"an integer from {least[name.strip()]} to {_MOST}"
            raise InvalidInputError(f"skeleton setting {name.strip()}={short(value.strip())!r}; must be {expected}.")
        values[name.strip()] = int(digits)
    return values


def _annotated(cls: type) -> list[str]:
    """The names that a class itself annotates, but not as ClassVar."""
    return [name for name, kind in inspect.get_annotations(cls).items() if "ClassVar" not in str(kind)]
