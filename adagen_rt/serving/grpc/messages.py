"""Message classes of the protocol's tables.

They are in a pool of their own: clients' generated modules put the same names into the default one,
and a process may have both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from adagen_rt.serving.grpc import protocol

FIELD = re.compile(r"(\w+)=(\d+) ({?)([\w.]+)}?(\*?)")
Descriptor = descriptor_pb2.FieldDescriptorProto


class Pool:
    """Messages by name, without their package's.

    Args:
        package: The package.
        messages: Fields by message.
        choices: Names of choices among all fields of a message.
        enums: Values by enumeration.
    """

    def __init__(
        self,
        package: str,
        messages: Mapping[str, str],
        enums: Mapping[str, str],
        choices: Mapping[str, str] | None = None,
    ) -> None:
        self._package, self._enums, self._choices = package, enums, choices or {}
        file = descriptor_pb2.FileDescriptorProto(
            name=f"{package}.proto", package=package, syntax="proto3"
        )
        for name, values in enums.items():
            enum = file.enum_type.add(name=name)
            for number, value in enumerate(values.split()):
                enum.value.add(name=value, number=number)
        made: dict[str, Any] = {}
        for name, fields in messages.items():
            parent, _, own = name.rpartition(".")
            place = made[parent].nested_type if parent else file.message_type
            made[name] = place.add(name=own)
            self._add_fields(made[name], name, fields)
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self._classes = {
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
            for name in messages
        }

    def __getitem__(self, name: str) -> Any:
        """Return the class of a message."""
        return self._classes[name]

    def _add_fields(self, message: Any, name: str, fields: str) -> None:
        choice = self._choices.get(name)
        if choice is not None:
            message.oneof_decl.add(name=choice)
        for field in filter(None, fields.split(", ")):
            found = FIELD.fullmatch(field)
            assert found is not None, field
            own, number, of_map, kind, of_list = found.groups()
            one = message.field.add(name=own, number=int(number))
            one.label = Descriptor.LABEL_REPEATED if of_map or of_list else one.LABEL_OPTIONAL
            if choice is not None:
                one.oneof_index = 0
            if of_map:
                kind = f"{name}.{self._add_entry(message, own, kind)}"
            self._set_type(one, kind)

    def _add_entry(self, message: Any, field: str, kind: str) -> str:
        """Add the message of one entry of a map; return its name."""
        entry = message.nested_type.add(name=f"{field.title()}Entry")
        entry.options.map_entry = True
        for number, (own, of) in enumerate((("key", "string"), ("value", kind)), 1):
            one = entry.field.add(name=own, number=number, label=Descriptor.LABEL_OPTIONAL)
            self._set_type(one, of)
        return str(entry.name)

    def _set_type(self, field: Any, kind: str) -> None:
        simple = f"TYPE_{kind.upper()}"
        if simple in dict(Descriptor.Type.items()):
            field.type = Descriptor.Type.Value(simple)
            return
        field.type = Descriptor.TYPE_ENUM if kind in self._enums else Descriptor.TYPE_MESSAGE
        field.type_name = f".{self._package}.{kind}"


MESSAGES = Pool(protocol.PACKAGE, protocol.MESSAGES, protocol.ENUMS, protocol.CHOICES)
HEALTH = Pool(protocol.HEALTH_PACKAGE, protocol.HEALTH_MESSAGES, protocol.HEALTH_ENUMS)
