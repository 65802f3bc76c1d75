"""Number formats and arithmetic units: IEEE element-wise operations and the fixed-point grid."""
