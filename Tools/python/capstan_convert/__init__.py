"""Converters of foreign memories (EVCap, clip-retrieval, HDF5) into rows and vectors that `capstan import` takes."""
