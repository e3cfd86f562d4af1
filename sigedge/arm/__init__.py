"""Does an Arm processor decide as this one does? The runtime on emulated Arm cores, beside the same runtime here.

Nothing is imported here, so that the emulated process (`probe`) needs what a device needs and no more.
"""
