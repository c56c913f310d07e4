"""Downloads that break off, and errors that say nothing."""

import hashlib
import http.server
import threading

import pooch
import pytest

from companion.data.fetch import DataNotFoundError, RemoteFile, fetch

CONTENT = b"some bytes" * 100
SUM = "md5:" + hashlib.md5(CONTENT).hexdigest()


class BreaksOff(http.server.BaseHTTPRequestHandler):
    """Promises the whole file, sends its beginning and hangs up."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:50])

    def log_message(self, *_):
        pass


def test_a_transfer_that_breaks_off_leaves_nothing(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), BreaksOff) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{httpd.server_address[1]}/file.bin"
        with pytest.raises(DataNotFoundError, match="50 bytes read, 950 more expected"):
            fetch(RemoteFile("set/file.bin", (url,), SUM), tmp_path)
        httpd.shutdown()
    assert not list((tmp_path / "set").iterdir())


def test_an_error_without_a_message_is_named_by_its_kind(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise TimeoutError

    monkeypatch.setattr(pooch, "retrieve", fail)
    with pytest.raises(DataNotFoundError, match="http://a/file.bin: TimeoutError"):
        fetch(RemoteFile("file.bin", ("http://a/file.bin",), SUM), tmp_path)


def test_an_interrupted_download_leaves_nothing(monkeypatch, tmp_path):
    class Interrupted:
        def __call__(self, url, output_file, *_, **__):
            with open(output_file, "wb") as stream:
                stream.write(CONTENT[:50])
            raise KeyboardInterrupt

    monkeypatch.setattr(pooch, "HTTPDownloader", lambda **_: Interrupted())
    with pytest.raises(KeyboardInterrupt):
        fetch(RemoteFile("set/file.bin", ("http://a/file.bin",), SUM), tmp_path)
    assert not list((tmp_path / "set").iterdir())


def test_a_file_without_a_public_sum_is_filled_in_by_hand(tmp_path):
    file = RemoteFile("set/file.bin", source="https://a/page")
    message = (
        "put the file file.bin .no public sum is known. into .*, for example from https://a/page"
    )
    with pytest.raises(DataNotFoundError, match=f"{message}.* it has to be fetched by hand"):
        fetch(file, tmp_path)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "file.bin").write_bytes(CONTENT)
    assert fetch(file, tmp_path) == (tmp_path / "set" / "file.bin", "")
