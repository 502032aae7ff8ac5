"""The precision that each layer computes in: declared to a compiler, and proved of what it built."""
