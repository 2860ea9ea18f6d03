"""What paid: the worth of actions near a state in the middle of a task."""

from __future__ import annotations

from memory.facade.evaluating import Evaluating
from memory.store.lived import Lived
from memory.types import Episode, StepVerdict, Usage
from memory.value.steps import STEPS, StepSettings, Walked, Worth
from memory.writing import judging
from memory.writing.stepping import state_encoder


class Paying(Evaluating):
    """The part of `Memory` that knows steps."""

    def judge(
        self,
        namespace: str,
        episode_id: str,
        *,
        principal: str,
        verdicts: tuple[StepVerdict, ...] = (),
        spent: Usage | None = None,
    ) -> Episode:
        """What looking back at a recorded episode found: verdicts in the place of the old ones, none leaves
        them; `spent` is added to what learning from it has cost. Raises NotFound.
        """
        author = self._author(namespace, principal, "reflection")
        return self._store.write(
            lambda writer: judging.judge(writer, author, episode_id, verdicts, spent or Usage())
        )

    def walked(self, namespace: str, family: str) -> Walked:
        """The steps of a family's newest episodes, to be asked many times without the database."""
        with self._store.read() as reader:
            acts, states = Lived(reader.connection).steps(namespace, family)
        return Walked(acts, states)

    def paid(
        self, namespace: str, family: str, state: str, settings: StepSettings = STEPS
    ) -> tuple[Worth, ...]:
        """Which actions paid near a state, best first; its words are those of `memory.value.states.state_of`.

        Empty where the family has no steps with an outcome.
        """
        return self.walked(namespace, family).worths(state_encoder().encode([state])[0], settings)
