"""Independent truths: data that others can check, and loops that share no code with the product."""
