"""Example and SequenceExample as the protobuf package has them: the oracle of these tests."""

from types import SimpleNamespace

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

BYTES, FLOAT, INT64, STRING, MESSAGE = 12, 2, 3, 9, 11
ONE, MANY = 1, 3


def add_field(message, name, number, kind, label=ONE, of=None, packed=None):
    field = message.field.add(name=name, number=number, type=kind, label=label)
    if of:
        field.type_name = f".oracle.{of}"
    if packed is not None:
        field.options.packed = packed
    return field


def add_map(file, name, value):
    """Message ``name`` with one map<string, value> in field 1."""
    message = file.message_type.add(name=name)
    entry = message.nested_type.add(name="EntryEntry")
    entry.options.map_entry = True
    add_field(entry, "key", 1, STRING)
    add_field(entry, "value", 2, MESSAGE, of=value)
    add_field(message, "entry", 1, MESSAGE, MANY, of=f"{name}.EntryEntry")


def build_messages(packed):
    """Message classes of tensorflow/core/example/{example,feature}.proto, as proto3 has them."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"oracle_{packed}.proto", package="oracle", syntax="proto3"
    )
    for name, kind, pack in (
        ("BytesList", BYTES, None),
        ("FloatList", FLOAT, packed),
        ("Int64List", INT64, packed),
    ):
        add_field(file.message_type.add(name=name), "value", 1, kind, MANY, packed=pack)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    lists = (("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List"))
    for number, (name, of) in enumerate(lists, start=1):
        add_field(feature, name, number, MESSAGE, of=of).oneof_index = 0
    add_map(file, "Features", "Feature")
    add_field(file.message_type.add(name="FeatureList"), "feature", 1, MESSAGE, MANY, of="Feature")
    add_map(file, "FeatureLists", "FeatureList")
    add_field(file.message_type.add(name="Example"), "features", 1, MESSAGE, of="Features")
    sequence = file.message_type.add(name="SequenceExample")
    add_field(sequence, "context", 1, MESSAGE, of="Features")
    add_field(sequence, "feature_lists", 2, MESSAGE, of="FeatureLists")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    classes = message_factory.GetMessageClassesForFiles([file.name], pool)
    return SimpleNamespace(**{name.removeprefix("oracle."): c for name, c in classes.items()})


@pytest.fixture(scope="session")
def pb():
    """Message classes; numbers are written packed."""
    return build_messages(packed=True)


@pytest.fixture(scope="session")
def pb_unpacked():
    """Message classes; numbers are written one field each."""
    return build_messages(packed=False)
