"""Start, watch and stop the processes ("ranks") of one stage, knowing nothing of what they compute."""
