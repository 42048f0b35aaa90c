"""Where ROIs come from: data sets, their catalog, and all of DICOM."""
