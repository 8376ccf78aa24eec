"""A local server that speaks TensorFlow Serving's API, gRPC and REST, for development, tests and small loads."""
