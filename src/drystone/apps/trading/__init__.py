"""Surplus trade by contract: the contract beside this file, its profiles, its scenario, its tests."""
