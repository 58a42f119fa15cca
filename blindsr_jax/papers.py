"""Constants from the papers that training and evaluation share."""

# DAN's setting 2 (anisotropic kernels): kernel size by scale; range of the width along either axis, in HR pixels.
SETTING2_SIZE = {2: 11, 3: 21, 4: 31}
SETTING2_WIDTHS = (0.6, 5.0)
