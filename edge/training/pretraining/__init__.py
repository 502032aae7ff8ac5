"""Self-supervised pretraining: hidden parts are told from the rest, and a sample's modalities from one another."""
