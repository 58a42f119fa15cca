"""The page of ``blindsr demo``: restore a picture in the browser, on this machine, without a line of Python.

What a run computes (``offers``, ``uploads``, ``handmade_kernels``, ``known_blur``, ``restoring``, ``actions``,
``views``) knows nothing of Gradio; ``page`` lays it out, ``answers`` fills it, ``server`` opens it.
"""
