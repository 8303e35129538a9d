"""Bytes to records and back: TFRecord framing, Example wire format, vocabulary."""
