"""What every search method is compared with; each keeps no state, see :class:`gennas.search.base.Policy`."""
