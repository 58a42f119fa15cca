"""The page of ``blindsr demo``: restore a picture in the browser, on this machine, without a line of Python.

What a run computes (``model_choices``, ``uploads``, ``handmade_kernels``, ``synthetic_test``, ``restoring``, ``run``,
``views``) knows nothing of Gradio; ``page`` lays it out, ``updates`` fills it, ``server`` opens it.
"""
