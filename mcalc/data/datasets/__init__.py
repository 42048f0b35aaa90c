"""One module a data set: each lists its ROIs as rows of the catalog."""
