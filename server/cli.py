"""The command `apprentice`. Heavy imports wait until a command needs them."""

from __future__ import annotations

import typer

from server.commands import (
    api,
    backing,
    batches,
    completion,
    constitution,
    distil,
    doctor,
    figure,
    flow,
    forgetting,
    gym,
    init,
    jobs,
    keys,
    knowledge,
    mcp,
    moving,
    policy,
    propose,
    seeing,
    serve,
    steering,
    wired,
    work,
)
from server.demo.command import demo

app = typer.Typer(
    name="apprentice",
    help="An agent server that learns on the job.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(init.init)
app.command()(serve.serve)
app.command()(demo)
app.add_typer(work.task_app, name="task")
app.command()(work.chat)
app.command()(figure.figure)
app.add_typer(jobs.jobs_app, name="jobs")
app.command()(api.api)
app.add_typer(flow.flow_app, name="flow")
app.command()(propose.propose)
app.command()(gym.gym)
app.add_typer(knowledge.memory_app, name="memory")
knowledge.memory_app.command("export")(moving.export)
knowledge.memory_app.command("import")(moving.import_)
for command in (
    forgetting.forget,
    forgetting.revoke,
    forgetting.erase,
    forgetting.restore,
    forgetting.diff,
    forgetting.consolidate,
):
    knowledge.memory_app.command()(command)
app.add_typer(constitution.constitution_app, name="constitution")
app.command()(steering.mode)
app.command()(steering.dials)
app.command()(steering.learning)
app.command()(distil.distill)
app.add_typer(seeing.distillations_app, name="distillations")
app.add_typer(distil.adapters_app, name="adapters")
app.add_typer(distil.suites_app, name="suites")
app.add_typer(keys.app, name="keys")
app.add_typer(policy.policy_app, name="policy")
app.add_typer(mcp.mcp_app, name="mcp")
app.command()(backing.backup)
app.command()(backing.restore)
app.command()(backing.migrate)
app.command()(serve.settings)
app.command()(doctor.doctor)
app.command()(completion.completion)
app.add_typer(batches.batches_app, name="batches")
wired.wire(
    app,
    {
        "batches": batches.batches_app,
        "task": work.task_app,
        "memory": knowledge.memory_app,
        "flow": flow.flow_app,
        "constitution": constitution.constitution_app,
        "distillations": seeing.distillations_app,
        "adapters": distil.adapters_app,
    },
)
