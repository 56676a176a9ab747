from .scripted import Answers as Answers
from .scripted import ScriptedAnswer as ScriptedAnswer
from .scripted import answer_to as answer_to
from .scripted import tokens as tokens
from .scripted import tokens_of as tokens_of
from .scripted import words as words
