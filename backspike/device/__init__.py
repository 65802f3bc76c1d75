"""Devices that programs run on, and the calls that all of them answer: training stands on these.

>>> from backspike.device import ModelDevice
>>> from backspike.hw.presets import load
>>> device = ModelDevice(load("tiny"))
>>> device.write((0, 0), 0x100, b"from here on")
>>> bytes(device.read((0, 0), 0x105, 4))
b'here'
"""

from backspike.device.device import Device, Timing
from backspike.device.model import ModelDevice
from backspike.device.rtl import RtlDevice

__all__ = ["Device", "ModelDevice", "RtlDevice", "Timing"]
