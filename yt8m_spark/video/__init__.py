"""From media to features: decode videos, run the user's network on their frames (paper §3.3)."""
