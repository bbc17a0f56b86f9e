"""What a version of the data set holds, what was left out and why: figures, a page for people, and differences."""
