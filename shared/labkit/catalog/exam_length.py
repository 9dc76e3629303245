"""How long the exam is and how many questions it has, as labs/blueprint/guides.toml says with source and date."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labkit.catalog.blueprint import read_blueprint
from labkit.catalog.problems import LabError


class ExamLength(BaseModel):
    """`minutes` of the whole exam, and its number of `questions`, least and most."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    minutes: float = Field(gt=0)
    questions: tuple[int, int]
    checked: str = Field(pattern=r"^\d{4}-\d{2}$")
    source: str

    @property
    def minutes_a_question(self) -> float:
        """With the least number of questions."""
        return self.minutes / self.questions[0]


def read_exam_length() -> ExamLength:
    """Of the newest guide that says it. Raises LabError when none does, or not in this form."""
    guides = read_blueprint().guides
    named = [name for name in sorted(guides) if "exam" in guides[name]]
    if not named:
        raise LabError("labs/blueprint/guides.toml: no guide says how long its exam is. Give --minutes.")
    try:
        return ExamLength.model_validate(guides[named[-1]]["exam"])
    except ValidationError as error:
        found = error.errors()[0]
        field = ".".join(str(part) for part in found["loc"])
        raise LabError(
            f"labs/blueprint/guides.toml: guides.{named[-1]}.exam.{field}: {found['msg'].lower()}. Mend it."
        ) from None
