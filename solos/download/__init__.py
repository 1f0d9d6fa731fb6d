"""Recordings from the net, by yt-dlp: what training never imports.

An index line comes in, a file and what became of it go out. May import ``config``, ``storage``,
``media`` and ``datasets``.
"""
