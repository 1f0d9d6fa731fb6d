"""Mixes of stored spectrograms, and the loop that trains a network on them.

Folders of the stages ``spectrograms`` and ``extract`` and a network come in; its weights and a
record of each epoch go out. May import ``config``, ``storage``, ``signal`` and ``models``.
"""
