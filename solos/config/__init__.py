"""What ``params.yaml`` may hold: text in, frozen and checked sections out.

Imports no other room, and nothing heavy: whoever reads a parameter can afford it.
"""
