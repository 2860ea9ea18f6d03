"""What paid: the worth of actions near a state in the middle of a task."""

from __future__ import annotations

from memory.facade.evaluating import Evaluating
from memory.store.lived import Lived
from memory.value.steps import STEPS, StepSettings, Walked, Worth
from memory.writing.stepping import state_encoder


class Paying(Evaluating):
    """The part of `Memory` that knows steps."""

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
