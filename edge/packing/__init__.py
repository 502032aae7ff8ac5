"""Bundles packed: graphs, contracts, goldens and licences become one folder that nobody changes any more."""
