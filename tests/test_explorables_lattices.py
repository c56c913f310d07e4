"""The committed lattices have the form that a build of their studies writes."""

from dataclasses import replace
from functools import wraps
from itertools import zip_longest

import pytest

from companion.lab.explorable import asked
from companion.lab.study import Study, View
from figures.explorables import EXPLORABLES

STUDIES = [e.study.study if isinstance(e.study, View) else e.study for e in EXPLORABLES]
STUDIES = {study.name: study for study in STUDIES if isinstance(study, Study)}


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_a_build_writes_what_is_committed(study, monkeypatch):
    """The names, shapes and types of the arrays, from models that were not trained."""

    def untrained(self, points, before, **_):
        pairs = zip_longest(points, before)
        return [asked(self.model, point | {"before": model}).eval() for point, model in pairs]

    measured = []

    @wraps(study.measure)
    def once(*arguments, **named):
        if not measured:
            measured.append(study.measure(*arguments, **named))
        return measured[0]

    monkeypatch.setattr(Study, "train", untrained)
    arrays, about = replace(study, measure=once).compute(progress=False)
    form = {name: (values.shape, values.dtype) for name, values in arrays.items()}
    assert form == {name: (values.shape, values.dtype) for name, values in study.arrays.items()}
    assert {"controls", "seeds", "training"} <= set(about)
