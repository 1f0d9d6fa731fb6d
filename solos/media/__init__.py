"""Media files as ffmpeg and PyAV read them: probed, their sound resampled, their pictures cropped.

A path comes in, samples or archives of pictures go out, or a ``MediaError`` whose reason is the
recording. May import ``config`` and ``storage``.
"""
