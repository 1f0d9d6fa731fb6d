"""Files: written whole or not at all, tables, finished work and its locks, archives of pictures.

Paths and plain values in and out; it knows neither sound nor networks. May import ``config``.
"""
