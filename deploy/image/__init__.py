"""The image, built and run without a Docker daemon: what `make image-test` stands on."""
