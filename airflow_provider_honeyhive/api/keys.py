"""The kinds of API key: told apart by prefix, they decide which paths can be asked, and whether any can.

Source: the vendor's page on API keys, and the changelogs of its clients (Python to 1.10.0, CLI 1.8.0), November 2026.
"""

from __future__ import annotations

from msgspec import Struct

#: Where HoneyHive's web interface shows keys that read, the id of a project, and the URL of its data plane.
WHERE_KEYS_ARE = "HoneyHive: Settings → Project → API Keys"
WHERE_IDS_ARE = f"{WHERE_KEYS_ARE} → Data Plane"


class KeyKind(Struct, frozen=True):
    """A kind of API key.

    :param name: what messages call it.
    :param prefix: what its keys begin with.
    :param takes_project_id: it reads by the paths that name a project by its id, and by no others.
    :param only: all that such keys do, where they cannot read events; None: they can.
    """

    name: str
    prefix: str
    takes_project_id: bool = False
    only: str | None = None


DATA_PLANE = KeyKind("data plane key", "hh_fgdp_", takes_project_id=True)

INGESTION = KeyKind("ingestion key", "hh_ingst_", only="only write them")

CONTROL_PLANE = KeyKind("control plane key", "hh_fgcp_", only="only manage projects")

#: Also the kind of whatever key begins otherwise, as deployments of one's own may have them.
CLASSIC = KeyKind("classic key", "hh_")

#: The longest prefixes first.
KINDS = (DATA_PLANE, INGESTION, CONTROL_PLANE, CLASSIC)


def kind_of(key: str) -> KeyKind:
    """Return the kind of an API key."""
    return next((kind for kind in KINDS if key.startswith(kind.prefix)), CLASSIC)
