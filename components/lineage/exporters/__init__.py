"""The ledger in the words of five standards: one neutral picture (`model`), one pure function of it per standard."""
