"""Problem sets: checks that answer with hints, and hand-out, grading and return over nbgrader.

Students need :mod:`companion.course.check` alone; :mod:`companion.course.grading` needs nbgrader,
which is in the ``course`` extra.
"""
