"""The training code, as the container that Vertex AI starts would hold it."""
