"""The paper in NumPy, one section a file."""
