"""The built-in ops, written with Pillow, with the random draws that the ops' documentation describes.

Every op is a function of the image, the value, the random stream of the call, and a partner image.
Modes and values that Pillow does not accept are treated as the op's documentation says.
"""

from PIL import Image, ImageDraw, ImageEnhance, ImageOps

PILLOW = "13.0.0"

# The fill of Cutout and CutoutAbs, and its luminance, as Pillow converts it.
FILL = (125, 123, 114)
FILL_L = Image.new("RGB", (1, 1), FILL).convert("L").getpixel((0, 0))


def affine(image, matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


def shear_x(image, value, stream, partner):
    return affine(image, (1, value, 0, 0, 1, 0))


def shear_y(image, value, stream, partner):
    return affine(image, (1, 0, 0, value, 1, 0))


def translate_x(image, value, stream, partner):
    return affine(image, (1, 0, value * image.width, 0, 1, 0))


def translate_y(image, value, stream, partner):
    return affine(image, (1, 0, 0, 0, 1, value * image.height))


def translate_x_abs(image, value, stream, partner):
    return affine(image, (1, 0, value, 0, 1, 0))


def translate_y_abs(image, value, stream, partner):
    return affine(image, (1, 0, 0, 0, 1, value))


def rotate(image, value, stream, partner):
    return image.rotate(value)


def auto_contrast(image, value, stream, partner):
    return on_color(image, ImageOps.autocontrast)


def invert(image, value, stream, partner):
    return on_color(image, ImageOps.invert)


def equalize(image, value, stream, partner):
    return on_color(image, ImageOps.equalize)


def solarize(image, value, stream, partner):
    return on_color(image, lambda color: ImageOps.solarize(color, value))


def solarize_add(image, value, stream, partner):
    """Pillow has no such op: this is a table of TensorFlow's and torchvision's."""
    added = int(value)
    table = [min(255, max(0, level + added)) if level < 128 else level for level in range(256)]
    return on_color(image, lambda color: color.point(table * len(color.getbands())))


def posterize(image, value, stream, partner):
    """Pillow accepts only one to eight bits."""
    bits = min(8, max(0, int(value)))
    if bits == 0:
        return on_color(image, lambda color: Image.new(color.mode, color.size, 0))
    return on_color(image, lambda color: ImageOps.posterize(color, bits))


def contrast(image, value, stream, partner):
    return ImageEnhance.Contrast(image).enhance(value)


def color(image, value, stream, partner):
    return ImageEnhance.Color(image).enhance(value)


def brightness(image, value, stream, partner):
    return ImageEnhance.Brightness(image).enhance(value)


def sharpness(image, value, stream, partner):
    return ImageEnhance.Sharpness(image).enhance(value)


def cutout(image, value, stream, partner):
    if value <= 0:
        return image
    width, height = image.size
    side = value * width
    x0, y0 = stream.unit() * width, stream.unit() * height
    x0, y0 = int(max(0, x0 - side / 2.0)), int(max(0, y0 - side / 2.0))
    box = x0, y0, min(width, x0 + side), min(height, y0 + side)

    def paint(color):
        color = color.copy()
        ImageDraw.Draw(color).rectangle(box, fill_of(color))
        return color

    return on_color(image, paint)


def cutout_abs(image, value, stream, partner):
    width, height = image.size
    half = max(0, int(value)) // 2
    x, y = stream.below(width), stream.below(height)
    box = max(0, x - half), max(0, y - half), min(width, x + half), min(height, y + half)

    def paint(color):
        color = color.copy()
        if half > 0:
            color.paste(fill_of(color), box)
        return color

    return on_color(image, paint)


def sample_pairing(image, value, stream, partner):
    return Image.blend(image, partner, value)


def identity(image, value, stream, partner):
    return image


def flip_x(image, value, stream, partner):
    return ImageOps.mirror(image)


def flip_y(image, value, stream, partner):
    return ImageOps.flip(image)


def crop_pad(image, value, stream, partner):
    padding = max(0, int(value))
    width, height = image.size
    size = width + 2 * padding, height + 2 * padding
    padded = Image.new(image.mode, size, (0,) * len(image.getbands()))
    padded.paste(image, (padding, padding))
    x, y = stream.below(2 * padding + 1), stream.below(2 * padding + 1)
    return padded.crop((x, y, x + width, y + height))


def on_color(image, change):
    """Applies `change` to the colours of an image, and keeps its alpha."""
    if image.mode != "RGBA":
        return change(image)
    changed = change(image.convert("RGB"))
    changed.putalpha(image.getchannel("A"))
    return changed


def fill_of(image):
    return FILL_L if image.mode == "L" else FILL


OPS = {
    "ShearX": shear_x,
    "ShearY": shear_y,
    "TranslateX": translate_x,
    "TranslateY": translate_y,
    "Rotate": rotate,
    "AutoContrast": auto_contrast,
    "Invert": invert,
    "Equalize": equalize,
    "Solarize": solarize,
    "Posterize": posterize,
    "Contrast": contrast,
    "Color": color,
    "Brightness": brightness,
    "Sharpness": sharpness,
    "Cutout": cutout,
    "SamplePairing": sample_pairing,
    "Identity": identity,
    "FlipX": flip_x,
    "FlipY": flip_y,
    "CropPad": crop_pad,
    "CutoutAbs": cutout_abs,
    "TranslateXAbs": translate_x_abs,
    "TranslateYAbs": translate_y_abs,
    "SolarizeAdd": solarize_add,
    "PosterizeBits": posterize,
}
