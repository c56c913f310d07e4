"""The committed lattices have the form that a build of their studies writes."""

from dataclasses import replace
from functools import wraps
from itertools import zip_longest

import pytest

from companion.lab.explorable import asked
from companion.lab.study import Study
from figures.explorables import EXPLORABLES, ablation, benchmark, digits, face_models, sinusoid_full

STUDIES = [module.RUNS for module in (face_models, digits, ablation, benchmark)] + [
    sinusoid_full.STUDY
]
STUDIES += [one.study for one in EXPLORABLES if isinstance(one.study, Study)]
STUDIES = {study.name: study for study in STUDIES}


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_a_build_writes_what_is_committed(study, monkeypatch):
    """Shapes and types of the arrays, from models that were not trained; none is left over."""

    def untrained(self, points, before, **_):
        pairs = zip_longest(points, before)
        return [asked(self.model, point | {"before": model}).eval() for point, model in pairs]

    measured = []

    @wraps(study.measure)
    def once(*arguments, **named):
        if not measured:
            measured.append(study.measure(*arguments, **named))
        return measured[0]

    monkeypatch.setattr(type(study), "train", untrained)
    arrays, about = replace(study, measure=once, extra=None).compute(progress=False)
    for name, values in arrays.items():
        kept = study.arrays[name]
        assert (values.shape, values.dtype) == (kept.shape, kept.dtype), name
    others = bool(study.extra) or study is benchmark.RUNS
    assert (set(arrays) != set(study.arrays)) == others
    assert {"controls", "seeds", "training"} <= set(about)
