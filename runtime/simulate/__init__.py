"""A seeded street for camera, lidar and microphone, with labels: trains, tests and demonstrates. NumPy only.

What is simulated is said where it is simulated; nothing here is a recording.
"""
