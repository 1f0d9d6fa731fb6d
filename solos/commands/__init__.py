"""The commands of ``solos``: a module each, with ``add_arguments(parser)`` and ``run(arguments)``.

The top layer, beside ``pipeline``: no other module imports it but ``solos.cli``.
"""
