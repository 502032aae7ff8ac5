"""Parts of the synchronizer: clock mapping, histories of samples, windows of sound, policies without a match."""
