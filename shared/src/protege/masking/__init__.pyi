from .masking import mask as mask
from .masking import mask_text as mask_text
