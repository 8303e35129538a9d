"""DataFrame in; DataFrame or fitted `core` value out."""
