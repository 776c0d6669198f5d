"""Tests of the pure core: no fixtures, no doubles, tables with their arithmetic written out."""
