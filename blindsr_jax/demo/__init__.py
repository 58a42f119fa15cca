"""The page of ``blindsr demo``: restore pictures in a browser on this machine, without Python.

The modules that compute (``model_choices``, ``uploads``, ``handmade_kernels``, ``synthetic_test``, ``restoring``,
``sizes``, ``run``, ``views``, ``compare``) do not use Gradio. ``page`` and its parts (``picture_part``, ``model_part``,
``blur_part``, ``result_part``) define the layout, ``updates`` fills it, and ``server`` serves it. ``guard``, ``turns``,
``keeping`` and ``folders`` bound what visitors can take.
"""
