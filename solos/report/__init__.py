"""Table II in Markdown, and the page on which a run is seen and heard.

The files of a finished run and its networks come in, text and one HTML file go out. May import
``config``, ``storage``, ``signal``, ``models``, ``evaluation`` and ``separation``.
"""
