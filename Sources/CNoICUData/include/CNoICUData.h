// Nothing to call: what matters is the data that is linked, or not (CNoICUData.c).
