"""Which of two images is preferred: pairs of winner and loser from judges, votes or files.

Scores are higher for better images. A prompt is one prompt however it is spelled: `prompts.normalised` decides. In the
default run the judges are small models of this project, so every pair is a proxy's and says so (`is_human` is false).
"""
