"""TLS, of files that are replaced, and clients that never end a handshake."""

import http.client
import logging
import socket
import ssl

import pytest
from http_server import serving, wait_until

pytest.importorskip("fastapi")
trustme = pytest.importorskip("trustme")


class Authority:
    """A certificate authority of the test, and the files of a server that it knows."""

    def __init__(self, folder):
        self.certificate, self.key = folder / "cert.pem", folder / "key.pem"
        self._authority = trustme.CA()
        self.issue()

    def issue(self):
        made = self._authority.issue_cert("localhost", "127.0.0.1")
        made.private_key_pem.write_to_path(self.key)
        with self.certificate.open("wb") as file:
            for part in made.cert_chain_pems:
                file.write(part.bytes())

    def context(self):
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def secure(authority):
    from adagen_rt.serving.http.connections import ConnectionLimits
    from adagen_rt.serving.http.tls import Certificate

    certificate = Certificate(authority.certificate, authority.key)
    limits = ConnectionLimits(total=4, per_address=4, head_seconds=1.0)
    with serving({}, limits=limits, certificate=certificate) as given:
        yield given


def get(port, authority):
    """Status of a probe, and the serial number of the server's certificate."""
    context = authority.context()
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
    connection.request("GET", "/v2/health/live")
    answer = connection.getresponse()
    serial = connection.sock.getpeercert()["serialNumber"]
    answer.read()
    connection.close()
    return answer.status, serial


def test_a_certificate_is_replaced_while_it_serves(secure, authority, caplog):
    caplog.set_level(logging.INFO)
    server, port = secure
    status, first = get(port, authority)
    assert status == 200
    kept = authority.certificate.read_bytes(), authority.key.read_bytes()
    authority.issue()
    new_key = authority.key.read_bytes()
    authority.key.write_bytes(kept[1])  # a certificate with another's key
    server.handle_hang_up(1, None)
    wait_until(lambda: any(record.getMessage() == "reloaded" for record in list(caplog.records)))
    assert any("PEM certificate and its key" in str(vars(one)) for one in caplog.records)
    assert get(port, authority) == (200, first)
    authority.key.write_bytes(new_key)
    server.handle_hang_up(1, None)
    wait_until(lambda: get(port, authority)[1] != first)


def test_handshakes_that_never_end_make_room(secure, authority):
    _, port = secure
    silent = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(20)]
    silent[0].setblocking(True)
    assert get(port, authority)[0] == 200
    for one in silent:
        assert one.recv(1) == b""
        one.close()
    assert get(port, authority)[0] == 200


def test_plain_http_is_no_handshake(secure, authority):
    _, port = secure
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in plain.recv(1000)
    assert get(port, authority)[0] == 200


@pytest.mark.parametrize("what", ["junk", "other key", "key alone", "missing"])
def test_files_that_are_no_certificate(refuse, tiny_engine, authority, what):
    options = ["--tls-certificate", authority.certificate, "--tls-key", authority.key]
    if what == "junk":
        authority.certificate.write_text("no certificate")
    elif what == "other key":
        kept = authority.key.read_bytes()
        authority.issue()
        authority.key.write_bytes(kept)
    elif what == "key alone":
        options = options[2:]
    else:
        authority.key.unlink()
    line = refuse("serve", tiny_engine, *options)
    assert "key.pem" in line or "cert.pem" in line
