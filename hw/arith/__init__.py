"""Number formats and the arithmetic units: IEEE element-wise units and the exact fixed-point grid."""
