"""The catalogue: dated prices, hardware, models and assumptions, looked up in a book it is given.

Pure: ``sources`` reads the files and builds the book; nothing here opens a file or reads a clock.
"""
