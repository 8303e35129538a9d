"""Make an inner tensor of an ONNX network its one output, in the bytes of the file.

An ONNX file is a protocol-buffer message: ModelProto has its graph in field 7; GraphProto has nodes
in field 1 and outputs in field 12; NodeProto has names of inputs in field 1, of outputs in field 2
and attributes in field 5, which may hold graphs in fields 6 and 11; an output is a ValueInfoProto,
whose name is field 1. Types of outputs may be left out: the runtime infers them.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from yt8m_spark.errors import InputError
from yt8m_spark.formats.wire import Span, WireError, encode_bytes, fields, messages

__all__ = ["with_output"]

_GRAPH = 7  # of ModelProto
_NODE, _OUTPUT = 1, 12  # of GraphProto
_INPUTS, _OUTPUTS, _ATTRIBUTE = 1, 2, 5  # of NodeProto
_SUBGRAPHS = (6, 11)  # of AttributeProto
_NAME = 1  # of ValueInfoProto

_MOST_NAMES = 5  # that an error shows


def with_output(model: bytes, name: str, *, where: str) -> bytes:
    """ONNX file ``model`` with the tensor ``name`` as its one output, less what that does not need.

    onnxruntime would compute the nodes behind it, too, and throw away what comes of them.

    Parameters
    ----------
    model : bytes
    name : str
        Of an output of any node of the main graph.
    where : str
        Name of the file, for errors.

    Raises
    ------
    InputError
        If the graph has no such tensor; the names most like it are shown. Or if the bytes are no
        ONNX file.
    """
    try:
        whole = Span(model, 0, len(model))
        graph = b"".join(span.content() for span in messages(whole, _GRAPH))
        nodes = list(messages(Span(graph, 0, len(graph)), _NODE))
        _check_name(name, [n for node in nodes for n in _names(node, _OUTPUTS)], where)
        outputs = encode_bytes(_OUTPUT, encode_bytes(_NAME, name.encode()))
        kept = [encode_bytes(_NODE, node.content()) for node in _needed(nodes, name)]
        changed = b"".join([*kept, _without(graph, (_NODE, _OUTPUT)), outputs])
        return _without(model, (_GRAPH,)) + encode_bytes(_GRAPH, changed)
    except (WireError, UnicodeDecodeError):
        raise InputError("not an ONNX file", where=where) from None


def _check_name(name: str, names: list[str], where: str) -> None:
    if name not in names:
        near = get_close_matches(name, names, _MOST_NAMES, cutoff=0.4) or names[-_MOST_NAMES:]
        expected = f"a tensor of the graph, such as {', '.join(near)}"
        raise InputError("no such layer", where=where, expected=expected, found=name)


def _needed(nodes: list[Span], name: str) -> list[Span]:
    """Nodes that the tensor ``name`` is made by, in order; ONNX has them sorted already."""
    wanted, kept = {name}, []
    for node in reversed(nodes):
        if wanted.intersection(_names(node, _OUTPUTS)):
            wanted.update(_inputs(node))
            kept.append(node)
    return kept[::-1]


def _inputs(node: Span) -> Iterator[str]:
    """Names that a node takes; those of its subgraphs, which see the tensors around them, too."""
    yield from _names(node, _INPUTS)
    for attribute in messages(node, _ATTRIBUTE):
        for number in _SUBGRAPHS:
            for subgraph in messages(attribute, number):
                yield from _names(subgraph, _OUTPUT)  # a branch may hand out an outer tensor
                for inner in messages(subgraph, _NODE):
                    yield from _inputs(inner)


def _names(message: Span, number: int) -> Iterator[str]:
    """Names in field ``number``; of a subgraph's outputs, the name within."""
    for span in messages(message, number):
        values = messages(span, _NAME) if number == _OUTPUT else [span]
        yield from (value.content().decode() for value in values if value.start < value.end)


def _without(message: bytes, numbers: tuple[int, ...]) -> bytes:
    """``message`` less the fields ``numbers``."""
    kept, position = [], 0
    for found, _, _, end in fields(Span(message, 0, len(message))):
        if found not in numbers:
            kept.append(message[position:end])
        position = end
    return b"".join(kept)
