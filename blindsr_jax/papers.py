"""Numbers of the papers that training and evaluation share."""

# DAN's setting 2 (anisotropic kernels): kernel size by scale; lowest and highest width along either axis, HR pixels.
SETTING2_SIZE = {2: 11, 3: 21, 4: 31}
SETTING2_WIDTHS = (0.6, 5.0)
