"""Other looks of the same pictures, (H, W, 3) uint8 to the same."""
import cv2
import numpy as np

INK = (25, 35, 105)


def edges(picture):
    """White lines on black, as ControlNets are shown them: `--control-net NET,image=PICTURE,canny=100:200`."""
    return np.repeat(cv2.Canny(picture, 100, 200)[..., None], 3, axis=2)


def outlined(picture):
    """A drawing with a pen: what has an edge is ink on white."""
    lines = cv2.dilate(cv2.Canny(picture, 60, 160), np.ones((2, 2), np.uint8))
    ink = cv2.GaussianBlur(lines, (3, 3), 0)[..., None] / 255
    return (255 - ink * (255 - np.array(INK))).round().astype(np.uint8)
