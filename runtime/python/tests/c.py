"""The C library, called through ctypes with the structures of its header."""

import ctypes
from ctypes import POINTER, byref, c_char_p, c_size_t, c_uint32, c_uint64, c_void_p


class Image(ctypes.Structure):
    _fields_ = [
        ("samples", c_void_p),
        ("length", c_size_t),
        ("width", c_size_t),
        ("height", c_size_t),
        ("channels", c_size_t),
        ("row_stride", c_size_t),
        ("layout", c_uint32),
    ]


class Key(ctypes.Structure):
    _fields_ = [("seed", c_uint64), ("epoch", c_uint64), ("index", c_uint64)]


class Library:
    def __init__(self, path):
        self._faa = faa = ctypes.CDLL(path)
        faa.faa_policy_shipped.argtypes = [c_char_p, POINTER(c_void_p), c_void_p]
        faa.faa_policy_free.argtypes = [c_void_p]
        faa.faa_workspace_new.restype = c_void_p
        faa.faa_workspace_free.argtypes = [c_void_p]
        faa.faa_apply.argtypes = [c_void_p, Key, c_void_p, POINTER(Image), c_void_p, c_void_p]

    def augmented(self, name, pixels, *key):
        """A copy of an array, HW or HWC, to which a shipped policy was applied."""
        result, faa, policy = pixels.copy(), self._faa, c_void_p()
        height, width, channels = (*pixels.shape, 1)[:3]
        image = Image(result.ctypes.data, result.nbytes, width, height, channels, 0, 0)
        assert faa.faa_policy_shipped(name.encode(), byref(policy), None) == 0
        workspace = faa.faa_workspace_new()
        assert faa.faa_apply(policy, Key(*key), None, byref(image), workspace, None) == 0
        faa.faa_workspace_free(workspace)
        faa.faa_policy_free(policy)
        return result
