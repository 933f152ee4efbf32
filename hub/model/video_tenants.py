"""The tenants of video workers: by which id the keys of a tenant call it, and who reads the keys without a tenant."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from statushub.hub.model.errors import Invalid
from statushub.hub.model.names import DEFAULT_TENANT, check_tenant

JOB_TENANTS: Final = (DEFAULT_TENANT,)
"""Tenants that read the older key, which names none: two of them see each other's videos."""

_ID: Final = re.compile(r"[A-Za-z0-9_.~@+-]{1,128}", re.ASCII)
"""Of a tenant in the names of keys: no ':', which ends it, and nothing that is special in a pattern of Redis."""


class VideoTenants(msgspec.Struct, frozen=True):
    """The ids by tenant, the tenants by id, and the tenants of the older key.

    A tenant that is not mapped has its own name as its id, unless another tenant has that id. With
    `only` no keys belong to another tenant.
    """

    ids: dict[str, str]
    tenants: dict[str, str]
    jobs: tuple[str, ...] = JOB_TENANTS
    only: str | None = None

    def id_of(self, tenant: str) -> str | None:
        """The `{tenant_id}` in the keys of a tenant; None where another tenant has it."""
        return self.ids.get(tenant) or (None if tenant in self.tenants else tenant)

    def tenant_of(self, id: str) -> str | None:
        """The tenant that the keys with this id belong to; None where there is none."""
        tenant = self._tenant_of(id)
        return None if self.only is not None and tenant != self.only else tenant

    def _tenant_of(self, id: str) -> str | None:
        if (tenant := self.tenants.get(id)) is not None:
            return tenant
        try:
            return None if id in self.ids else check_tenant(id)
        except Invalid:
            return None


def video_tenants(
    texts: Sequence[str], jobs: Collection[str] = JOB_TENANTS, *, only: str | None = None
) -> VideoTenants:
    """The tenants of texts such as `acme=4711`, and the names of those that read the older key.

    Raises `ValueError` where one is malformed, or a tenant or an id is named twice.
    """
    ids, tenants = dict[str, str](), dict[str, str]()
    for text in texts:
        tenant, id = parse_tenant(text)
        if tenant in ids:
            raise ValueError(f"names the tenant {tenant!r} twice")
        if id in tenants:
            raise ValueError(f"gives the id {id!r} to two tenants, which would see each other's videos")
        ids[tenant], tenants[id] = id, tenant
    readers = [tenant for tenant in dict.fromkeys(jobs) if only in (None, tenant)]
    return VideoTenants(ids, tenants, tuple(readers), only)


def parse_tenant(text: str) -> tuple[str, str]:
    """A tenant and its id. Raises `ValueError` with what is wrong, in words that fit behind the text."""
    tenant, equals, id = (part.strip() for part in text.partition("="))
    check_job_tenant(tenant)
    if not equals or _ID.fullmatch(id) is None:
        raise ValueError("is not TENANT=ID, with an id of 1 to 128 of the characters A-Z a-z 0-9 _ . ~ @ + -")
    return tenant, id


def check_job_tenant(text: str) -> None:
    """Raises `ValueError` as `parse_tenant`, where it is no tenant's name."""
    try:
        check_tenant(text)
    except Invalid:
        raise ValueError("names no tenant: 1 to 64 of the characters A-Z a-z 0-9 _ -") from None
