"""Metering of electricity, gas, water and heat: from signed readings to bills that add up."""
