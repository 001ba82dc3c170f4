"""The process definitions that ship with the product: BPMN 2.0 files, read by `bpmn.py`."""
