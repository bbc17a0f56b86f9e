"""Rows of images and words: decode, check, filter, categorise, caption, score, sample, split."""
