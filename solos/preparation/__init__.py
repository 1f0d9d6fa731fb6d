"""What training and evaluation read, made of one recording, piece or archive at a time.

Media files and records of ``datasets`` come in; pictures, sound and spectrograms go out as files.
May import ``config``, ``storage``, ``media``, ``signal`` and ``datasets``.
"""
