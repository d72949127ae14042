"""Customers of the engine: several methods under equal conditions, the demonstrations and the time of a step."""
