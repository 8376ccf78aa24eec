"""Where a run trains: one device, or all visible accelerators in step."""


def choose_strategy():
    """`MirroredStrategy` over all visible GPUs when there are two or more, else TensorFlow's default strategy.

    Logical CPU devices count too when there are several: so the code for many devices is tested on any machine.

    Returns:
        A `tf.distribute.Strategy`.
    """
    import tensorflow as tf

    for kind in ("GPU", "CPU"):
        devices = tf.config.list_logical_devices(kind)
        if len(devices) > 1:
            return tf.distribute.MirroredStrategy([device.name for device in devices])
        if devices:
            break
    return tf.distribute.get_strategy()
