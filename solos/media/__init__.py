"""Media files: PyAV decodes their sound, ffmpeg their pictures.

A path comes in, samples or archives of pictures go out, or a ``MediaError`` whose reason is the
recording. ``opening`` is where names and time zero are understood, ``clock`` and ``track`` put
sound in its place in time, ``facts`` says what is remarkable about it, ``extent`` whether its file
is cut off. May import ``config`` and ``storage``.
"""
