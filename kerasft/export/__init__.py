"""From a trained model to a served one: the SavedModel, its proof, and what a stock TensorFlow Serving can run."""
