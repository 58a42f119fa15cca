"""The page of ``blindsr demo``: restore pictures in a browser on this machine, without Python.

The modules that compute (``model_choices``, ``uploads``, ``handmade_kernels``, ``synthetic_test``, ``restoring``,
``run``, ``views``) do not use Gradio. ``page`` defines the layout, ``updates`` fills it, and ``server`` serves it.
"""
