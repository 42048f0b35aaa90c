"""What models read of an image: one module a set of features.

Each has `TURNED`, whether a quarter turn of the image changes them, and `extract(image)`, which
returns the features of one image, (size, size) uint8, by name.
"""
