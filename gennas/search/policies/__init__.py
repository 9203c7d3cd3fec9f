"""Policies: search methods, which choose archs to evaluate; see :class:`gennas.search.base.Policy`."""
