"""Hand-over formats: Hugging Face, MONAI Decathlon, Croissant. Nothing private, nothing that a verdict excludes."""
