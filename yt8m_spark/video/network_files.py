"""The files that an image network is made of, and a digest of them all.

An ONNX file may keep its weights in files beside it. A TensorProto tells so: its field 14 is 1, and
field 13 has entries of key (1) and value (2), of which ``location`` is a path from the ONNX file's
folder. Tensors are initializers of a GraphProto (field 5; sparse ones 15) and attributes of nodes
(fields 5 and 10; sparse ones 22 and 23), also in subgraphs and in functions (ModelProto field 25,
whose nodes are field 7).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePath
from typing import NamedTuple

from yt8m_spark.artifacts import file_digest
from yt8m_spark.errors import InputError
from yt8m_spark.formats.wire import Span, WireError, fields, messages, read_varint

__all__ = ["FileStamp", "network_digest", "network_files", "network_stamps"]

_GRAPH, _FUNCTION = 7, 25  # of ModelProto
_NODE_OF_GRAPH, _NODE_OF_FUNCTION = 1, 7
_ATTRIBUTE = 5  # of NodeProto
_SUBGRAPHS = (6, 11)  # of AttributeProto
_IN_GRAPH, _SPARSE_IN_GRAPH = (5,), (15,)
_IN_ATTRIBUTE, _SPARSE_IN_ATTRIBUTE = (5, 10), (22, 23)
_VALUES_AND_INDICES = (1, 2)  # of SparseTensorProto
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1  # of TensorProto


class FileStamp(NamedTuple):
    """What tells that a file is still the same, without reading it."""

    path: str
    written: int  # nanoseconds
    size: int  # bytes


def network_digest(path: str) -> str:
    """Digest of the network at ``path``, of the files of weights that it names too.

    Raises
    ------
    InputError
        As `network_files`.
    """
    network, *weights = network_files(path)
    digest = file_digest(Path(network))
    if not weights:
        return digest
    # Their names are in the bytes of the ONNX file.
    digests = "".join([digest, *(file_digest(Path(file)) for file in weights)])
    return hashlib.blake2b(digests.encode(), digest_size=16).hexdigest()


def network_stamps(path: str) -> tuple[FileStamp, ...]:
    """Stamps of `network_files`, which raises what this does."""
    return tuple(map(_stamp, network_files(path)))


def network_files(path: str) -> list[str]:
    """The network at ``path`` and the files of weights that it names, these in order.

    What is neither an ONNX file nor an archive counts as one file: `networks.load_network` refuses
    it in better words.

    Raises
    ------
    InputError
        If a file cannot be read, or is not in the network's folder or below: a network that was
        downloaded must not have other files of this machine read.
    """
    return [path, *_weights(_stamp(path))]


@lru_cache(maxsize=4)
def _weights(network: FileStamp) -> tuple[str, ...]:
    """Files of weights of an ONNX file, read once."""
    data = Path(network.path).read_bytes()
    whole = Span(data, 0, len(data))
    try:
        locations = {name for tensor in _tensors(whole) for name in _locations(tensor)}
    except (WireError, UnicodeDecodeError):
        return ()
    for location in locations:
        if os.path.isabs(location) or ".." in PurePath(location).parts:
            expected = "weights in the network's folder"
            raise InputError(
                "weights lie elsewhere", where=network.path, expected=expected, found=location
            )
    files = tuple(str(Path(network.path).parent / location) for location in sorted(locations))
    for file in files:
        _stamp(file)  # there must be one
    return files


def _stamp(path: str) -> FileStamp:
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        told = getattr(error, "strerror", None) or error
        raise InputError(f"cannot be read ({told})", where=path) from None
    return FileStamp(path, status.st_mtime_ns, status.st_size)


def _tensors(model: Span) -> Iterator[Span]:
    for graph in messages(model, _GRAPH):
        yield from _tensors_of_graph(graph)
    for function in messages(model, _FUNCTION):
        for node in messages(function, _NODE_OF_FUNCTION):
            yield from _tensors_of_node(node)


def _tensors_of_graph(graph: Span) -> Iterator[Span]:
    yield from _among(graph, _IN_GRAPH, _SPARSE_IN_GRAPH)
    for node in messages(graph, _NODE_OF_GRAPH):
        yield from _tensors_of_node(node)


def _tensors_of_node(node: Span) -> Iterator[Span]:
    for attribute in messages(node, _ATTRIBUTE):
        yield from _among(attribute, _IN_ATTRIBUTE, _SPARSE_IN_ATTRIBUTE)
        for number in _SUBGRAPHS:
            for subgraph in messages(attribute, number):
                yield from _tensors_of_graph(subgraph)


def _among(message: Span, dense: tuple[int, ...], sparse: tuple[int, ...]) -> Iterator[Span]:
    """Tensors in the fields ``dense`` of a message, and the two of each in fields ``sparse``."""
    for number in dense:
        yield from messages(message, number)
    for number in sparse:
        for tensor in messages(message, number):
            for part in _VALUES_AND_INDICES:
                yield from messages(tensor, part)


def _locations(tensor: Span) -> Iterator[str]:
    """Path of the file that holds a tensor, if it is not in the network's own."""
    places = [start for number, _, start, _ in fields(tensor) if number == _DATA_LOCATION]
    if not places or read_varint(tensor.data, places[-1], tensor.end)[0] != _EXTERNAL:
        return
    for entry in messages(tensor, _EXTERNAL_DATA):
        key, value = (b"".join(s.content() for s in messages(entry, n)).decode() for n in (1, 2))
        if key == "location":
            yield value
