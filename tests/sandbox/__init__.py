"""The stand-in, seen through the real `stripe` library and held against stripe-mock."""
