"""Tools for asyncio that know nothing of the service."""
