"""Usage to canonical keys, model names and dates to prices, and the two multiplied: pure, exact, explained."""
