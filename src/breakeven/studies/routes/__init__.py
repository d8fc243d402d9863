"""Routing by task: which policies save how much at which quality, judged on labelled pairs; tables and classifiers."""
