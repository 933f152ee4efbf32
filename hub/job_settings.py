"""The settings of the jobs that run in a hub's process, or in workers beside it, as `Config` has them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from statushub.hub.marks import Flag, Rule
from statushub.hub.model.errors import Invalid
from statushub.hub.model.names import check_tenant


def _check_tenant(text: str) -> None:
    try:
        check_tenant(text)
    except Invalid as error:
        raise ValueError(error.message) from error


Jobs = Annotated[
    bool,
    Meta(
        description="Run the jobs of `--jobs-module` in the hub's process. With Redis, `statushub worker` runs them "
        "beside it. Needs `statushub[jobs]`."
    ),
]
JobsModules = Annotated[
    tuple[Annotated[str, Meta(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")], ...],
    Meta(description="Python module that declares jobs; looked for in the working directory, too."),
    Flag(name="--jobs-module", metavar="MODULE", form="the name of a Python module, such as app.jobs"),
]
JobsTenants = Annotated[
    tuple[str, ...],
    Meta(description="Tenant whose jobs are run."),
    Flag(name="--jobs-tenant", metavar="TENANT"),
    Rule(_check_tenant),
]
