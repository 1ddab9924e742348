"""A seeded world: emulated devices, power loss, checkers."""
