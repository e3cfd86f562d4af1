"""The hops of the chain, each a pure function from path to path.

Every module here is also a program, ``python -m sigedge_export.steps.<name>``, and the chain runs it as a
child
process: the converters print a great deal, hold global state and may crash, and none of that may reach the
caller. Nothing in this package is imported by the rest of `sigedge_export`, so that torch, TensorFlow and
onnxruntime never share a process.
"""
