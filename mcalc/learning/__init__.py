"""Networks: their making, training and saving."""
