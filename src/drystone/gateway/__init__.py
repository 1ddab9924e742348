"""From bytes to a sealed vertex: intake and seal."""
