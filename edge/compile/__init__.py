"""From a compressed model to what a board takes: dialects, engines, bundles."""
