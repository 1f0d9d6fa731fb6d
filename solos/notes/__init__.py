"""Recorded notes: a bank of single notes of real instruments, and a player of them.

The notes are anybody's in the naming of the Philharmonia Orchestra's sound samples, of which none
come with this project. ``names`` and ``sources`` find them, ``bank`` trims and measures them,
``player`` plays a performance, ``soloists`` makes a training set. Folders and archives of notes,
scores and seeds come in, files go out. May import ``config``, ``storage``, ``media``, ``datasets``,
``preparation`` and ``synthesis``.
"""
