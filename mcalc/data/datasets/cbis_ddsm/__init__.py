"""CBIS-DDSM as it lies on people's disks: case-description tables beside a tree of images.

Sawyer-Lee et al. 2016, doi 10.7937/K9/TCIA.2016.7O02S9CY.
"""

from mcalc.data.datasets.cbis_ddsm.rois import list_rois, list_table_rows

__all__ = ["list_rois", "list_table_rows"]
