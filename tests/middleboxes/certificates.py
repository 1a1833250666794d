"""Certificates of a made-up authority: contexts for both sides, and files for nginx and OpenSSL."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import trustme
from attrs import frozen

if TYPE_CHECKING:
    from pathlib import Path


@frozen
class Files:
    """A certificate, with those above it, and its key."""

    certificate: Path
    key: Path

    def serve(self) -> ssl.SSLContext:
        """Give a server's context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Authority:
    """Issues certificates, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._issued = 0
        self._ca: Any = trustme.CA()  # its annotations name types that only its own checker knows
        self.file = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def trusting(self) -> ssl.SSLContext:
        """Give a client's context that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.file))

    def issue(self, *names: str, **validity: Any) -> Files:
        """Issue a certificate for hosts, or for mail addresses."""
        return self._write(self._ca.issue_cert(*names, **validity), whole=True)

    def issue_without_chain(self, *names: str) -> Files:
        """Issue a certificate by way of an intermediate, and leave the intermediate's out."""
        return self._write(self._ca.create_child_ca().issue_cert(*names), whole=False)

    def self_signed(self) -> Files:
        """Give the authority's own certificate, as if it were a server's."""
        files = Files(self.file, self._folder / "authority.key")
        self._ca.private_key_pem.write_to_path(files.key)
        return files

    def _write(self, leaf: Any, *, whole: bool) -> Files:
        self._issued += 1
        files = Files(*(self._folder / f"leaf-{self._issued}.{kind}" for kind in ("pem", "key")))
        leaf.private_key_pem.write_to_path(files.key)
        for blob in leaf.cert_chain_pems if whole else leaf.cert_chain_pems[:1]:
            blob.write_to_path(files.certificate, append=True)
        return files
