"""Hostile input: random requests, malformed ones, and requests for other tenants' data."""
