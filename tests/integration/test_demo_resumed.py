"""What `edge demo` does in its order, interrupted and begun again: nothing that was finished is done twice."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from edge.cli.build_steps import WORK, compress_stages, open_project, train_or_recall_teacher
from edge.compress.provenance import tensors_digest
from edge.project import find_project, with_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.cli.progress import Steps
    from edge.compress.stages.measure import MeasuredStage
    from edge.project import Project

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@dataclass
class Bars:
    """Stands for the progress bars: notes what was trained, and may stop in the middle of it."""

    stop_in: str = "nothing"
    trained: list[str] = field(default_factory=list)

    def counter(self, description: str, total: int | None) -> Callable[[int], None]:
        return lambda _count: None

    def fitting(self, description: str) -> Callable[[int, int, float], None]:
        def update(done: int, total: int, loss: float) -> None:
            if done == 1:
                self.trained.append(description)
            elif self.stop_in in description:
                raise KeyboardInterrupt

        return update

    @contextmanager
    def doing(self, description: str) -> Iterator[None]:
        yield


def run(project: Project, out: Path, bars: Bars, fresh: bool = False) -> tuple[list[MeasuredStage], list[str]]:
    steps = cast("Steps", bars)
    bench = open_project(project, out / "data", steps)
    teacher, store = train_or_recall_teacher(bench, out / WORK, fresh, steps)
    stages: Any = compress_stages(bench, teacher, steps, store).stages
    return stages, store.resumed


def test_a_demo_goes_on_after_what_was_finished(small_project: Path, tmp_path: Path) -> None:
    project = find_project(small_project)
    recipe = project.recipe.model_copy(update={"stages": project.recipe.stages[:2]})  # quantizing takes long here
    project = project.model_copy(update={"recipe": recipe})
    with pytest.raises(KeyboardInterrupt):
        run(project, tmp_path, Bars(stop_in="teacher"))
    assert not (tmp_path / WORK / "teacher").exists()
    interrupted = Bars(stop_in="'prune'")
    with pytest.raises(KeyboardInterrupt):
        run(project, tmp_path, interrupted)
    assert interrupted.trained == ["Train the teacher", "Stage 'student' (distill)", "Stage 'prune' (prune)"]
    again = Bars()
    stages, resumed = run(project, tmp_path, again)
    assert again.trained == ["Stage 'prune' (prune)"]
    assert resumed == ["the teacher's training", "teacher", "student"]
    whole, taken = run(project, tmp_path, Bars(), fresh=True)
    assert taken == []
    digests = [[tensors_digest(s.artifact.model.state_dict()) for s in run] for run in (stages, whole)]
    assert digests[0] == digests[1]
    another = Bars(stop_in="teacher")
    with pytest.raises(KeyboardInterrupt):  # another seed is another teacher
        run(with_seed(project, 1), tmp_path, another)
    assert another.trained == ["Train the teacher"]
