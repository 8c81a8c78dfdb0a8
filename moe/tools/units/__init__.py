"""Amounts of one unit in another, exactly where the factor is exact."""
