"""Load on a model that is served somewhere, ours or TensorFlow Serving: sent on time, measured, summed up."""
