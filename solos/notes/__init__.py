"""Recorded notes: a bank of single notes of real instruments, and a player of them.

The notes are anybody's in the naming of the Philharmonia Orchestra's sound samples, of which none
come with this project.
"""
