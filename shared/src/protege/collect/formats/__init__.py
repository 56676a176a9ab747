"""The forms of files with recorded calls: from a document to the records of its calls.

`registry` names them, `base` says what a form is, `dialects` reads what providers' APIs take and give; the other
modules are the forms.
"""
