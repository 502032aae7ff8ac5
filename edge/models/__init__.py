"""The multimodal fusion models that the toolkit trains, shrinks and deploys."""
