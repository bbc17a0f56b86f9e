"""Great Expectations on tables of samples: a verdict with its reasons, no filtering. Nothing here imports torch.

What spans several tables or all of a column is measured with arrow first (`measures`): Great Expectations then judges a
table of one row with those numbers, beside the rows themselves. Nothing but `judge` and `suites` imports the library.
"""
