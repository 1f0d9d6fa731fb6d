"""A mixture of any length through a trained network.

Samples and what is known of the sources come in, estimates go out. May import ``config``,
``storage``, ``signal``, ``models``, and the test segments of ``evaluation``.
"""
