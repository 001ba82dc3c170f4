"""What changes orders. Every command locks the order first, asks the rules, writes, announces."""
