"""What the stages are made of. Nothing in here knows that `flows` exists."""
