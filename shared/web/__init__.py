"""What every page shares: the frame, our own css and js, both languages, the installed assets."""
