"""Boards and hosts as data: what each can do at most, which JetPacks it has, and what this machine is.

All figures are published ones, each with its source; nothing in this folder was measured by us.
"""
