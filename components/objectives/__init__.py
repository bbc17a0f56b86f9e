"""What training minimises. An objective returns its terms by name; the total is their weighted sum."""
