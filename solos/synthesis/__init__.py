"""The miniature data: real scores, a sampled synthesiser and drawn players, in the real layouts.

``works`` and ``scores`` give the music, ``performance`` and ``sound`` play it, ``looks``,
``strings``, ``woodwinds``, ``brass``, ``others`` and ``scene`` draw the player, ``video`` encodes,
``recordings`` makes Solos and MUSIC of it, ``ensembles`` makes URMP. Scores and seeds come in,
files go out. May import ``config``, ``storage``, ``media`` and ``datasets``.
"""
