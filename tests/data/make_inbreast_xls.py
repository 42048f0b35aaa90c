"""Write tests/data/INbreast.xls, which the tests read: `pip install xlwt`, then run this file.

pandas writes no .xls any more, and xlwt, which still does, is no longer kept up: so it is no
dependency of the tests, and what it wrote is kept. Columns, numbers stored as such, `Mass ` with
its space and two rows below that are no images are as in INbreast's own table; the rest is made up.
"""

from pathlib import Path

import xlwt

COLUMNS = [
    *("Patient ID", "Patient age", "Laterality", "View", "Acquisition date", "File Name", "ACR"),
    *("Bi-Rads", "Mass ", "Micros", "Distortion", "Asymmetry", "Findings Notes (in Portuguese)"),
    *("Lesion Annotation Status", "Pectoral Muscle Annotation", "Other Annotations", "Other Notes"),
]
IMAGES = [
    ("R", "CC", 20586908, 4, "5"),
    ("R", "MLO", 20586960, 4, "4a"),
    ("L", "CC", 20587054, "", 2),
    ("L", "MLO", 20587080, 2, 3),
    ("L", "CC", 20587148, 1, 1),
    ("R", "CC", 20587174, 3, 2),
]

book = xlwt.Workbook()
sheet = book.add_sheet("Sheet1")
rows = [["removed", "removed", side, view, 201001, *rest] for side, view, *rest in IMAGES]
rows += [[], ["", "", "", "", "", "", "", 6]]
for number, row in enumerate([COLUMNS, *rows]):
    for column, value in enumerate(row):
        if value != "":
            sheet.write(number, column, value)
book.save(Path(__file__).with_name("INbreast.xls"))
