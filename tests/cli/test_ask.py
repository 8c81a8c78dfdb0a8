"""One prompt in, one answer out: `ask` and a pipe."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.cli.house import CODE, HANG_S, MATHS, NEITHER, House, command
from tests.fakes import answer, cut, endless, error_line, fake_ollama, http_error


def test_a_pipe_is_one_prompt_and_its_answer(house: House) -> None:
    done = house.moe(stdin=f"{MATHS}\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"[phi4:14b] you said: {MATHS}\n", "")
    (sent,) = house.ollama.requests_to("/api/chat")
    assert sent.json["messages"][-1] == {"role": "user", "content": MATHS}


def test_ask_takes_its_prompt_as_an_argument_or_from_standard_input(house: House) -> None:
    assert house.moe("ask", CODE).stdout == f"[devstral:24b] you said: {CODE}\n"
    assert house.moe("ask", "-", stdin=CODE).stdout == f"[devstral:24b] you said: {CODE}\n"


def test_the_expert_the_system_prompt_and_the_prompt_arrive(house: House) -> None:
    done = house.moe("ask", NEITHER, "--model", "maths", "--system", "Be brief.")
    assert done.returncode == 0
    (sent,) = house.ollama.requests_to("/api/chat")
    assert sent.model == "phi4:14b"
    messages = [(message["role"], message["content"]) for message in sent.json["messages"]]
    assert messages == [("system", "Be brief."), ("user", NEITHER)]


def test_options_may_stand_before_the_command(house: House) -> None:
    done = house.moe("--model", "math", stdin=NEITHER)
    assert done.stdout.startswith("[phi4:14b]")
    done = house.moe("--data", str(house.folder / "elsewhere"), "ask", NEITHER, "--model", "math")
    assert done.stdout.startswith("[phi4:14b]")


def test_json_tells_the_answer_and_who_gave_it(house: House) -> None:
    house.ollama.script("devstral:24b", [answer("Line 3 is wrong.", thinking="Let me see.")])
    told = json.loads(house.moe("ask", CODE, "--json").stdout)
    confidence = told.pop("confidence")
    assert 0.5 < confidence < 1
    assert told == {
        "expert": "código", "model": "devstral:24b", "stage": "keyword", "text": "Line 3 is wrong.",
        "thinking": "Let me see.", "finish": "stop", "usage": told["usage"],
    }
    assert told["usage"]["completion_tokens"] > 0


def test_json_names_whom_the_answer_stands_in_for(house: House) -> None:
    house.ollama.script("phi4:14b", [http_error(500)])
    told = json.loads(house.moe("ask", MATHS, "--json").stdout)
    assert (told["expert"], told["fallback"]) == ("fallback", "math")


def test_a_second_line_break_is_not_added(house: House) -> None:
    house.ollama.script("phi4:14b", [answer("one\ntwo\n")])
    assert house.moe("ask", MATHS).stdout == "one\ntwo\n"


def test_what_a_pipe_gets_is_the_answer_as_it_is(house: House) -> None:
    house.ollama.script("phi4:14b", [answer(chunks=["\x1b[31mred\x1b[0m ", "\u2028 ¿é? 🎉\r\n", "end"])])
    assert house.moe("ask", MATHS).stdout == "\x1b[31mred\x1b[0m \u2028 ¿é? 🎉\r\nend\n"


def test_bytes_that_are_no_text_do_not_stop_it(house: House) -> None:
    done = house.moe(stdin=b"\xef\xbb\xbfderivative \xff\xfe")
    assert (done.returncode, done.stdout) == (0, "[phi4:14b] you said: derivative \ufffd\ufffd\n")


def test_a_long_prompt_goes_through(house: House) -> None:
    prompt = "derivative" + " word" * 100_000
    assert house.moe(stdin=prompt).stdout == f"[phi4:14b] you said: {prompt}\n"


def test_the_answer_streams_and_an_interrupt_stops_it_upstream(house: House) -> None:
    house.ollama.script("phi4:14b", [endless(interval_s=0.02)])
    with house.running("ask", MATHS) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(9) == b"on and on"
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG_S) == 130
        assert process.stderr.read() == b""
    (sent,) = house.ollama.requests_to("/api/chat")
    sent.wait_until_over(HANG_S)
    assert sent.closed_early_at is not None


def test_a_reader_that_has_had_enough_is_no_failure(house: House) -> None:
    house.ollama.script("phi4:14b", [endless(interval_s=0.02)])
    with house.running("ask", MATHS) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(9)
        process.stdout.close()
        assert process.wait(HANG_S) == 0
        assert process.stderr.read() == b""


def test_an_answer_that_breaks_off_is_a_failure_after_what_was_said(house: House) -> None:
    house.ollama.script("phi4:14b", [cut(after=2, chunks=["one ", "two ", "three"])])
    done = house.moe("ask", MATHS)
    assert (done.returncode, done.stdout, done.stderr) == (1, "one two \n", "moe: the answer broke off\n")


def test_an_error_in_the_middle_is_a_failure(house: House) -> None:
    house.ollama.script("phi4:14b", [error_line(after=1, message="CUDA out of memory", chunks=["one ", "two"])])
    done = house.moe("ask", MATHS)
    assert (done.returncode, done.stdout) == (1, "one \n")
    assert done.stderr == "moe: upstream error: CUDA out of memory\n"


def test_an_unknown_model_is_a_failure(house: House) -> None:
    done = house.moe("ask", NEITHER, "--model", "nope")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "moe: model 'nope' not found\n")


def test_what_no_model_answered_is_no_answer(house: House) -> None:
    house.ollama.stop()
    done = house.moe(stdin=MATHS)
    assert (done.returncode, done.stdout) == (1, "")
    assert "No language model could answer" in done.stderr
    assert "Next step" in done.stderr


def test_an_expert_that_cannot_answer_says_what_was_tried(house: House) -> None:
    house.ollama.stop()
    done = house.moe("ask", NEITHER, "--model", "math")
    assert (done.returncode, done.stdout) == (1, "")
    tried = "moe: no expert could answer (math: unreachable; fallback: unreachable). Next step: nothing answers at"
    assert done.stderr.startswith(tried) and "ollama serve" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_an_empty_prompt_is_a_misuse(inside: House, text: str) -> None:
    done = inside.moe(stdin=text)
    assert (done.returncode, done.stderr) == (2, "moe: the prompt is empty\n")
    assert inside.moe("ask", text).returncode == 2


def test_closed_standard_streams_are_survived(inside: House) -> None:
    for closed, code in (("0<&- 2>&-", 0), (">&-", 0), ("0<&- >&- 2>&-", 0)):
        words = ["sh", "-c", f'exec "$@" {closed}', "sh", *command("ask", MATHS)]
        with inside.started(words) as process:
            assert process.stdout is not None
            told = process.stdout.read().decode()
            assert process.wait(HANG_S) == code
            assert told == ("" if ">&-" in closed.replace("2>&-", "") else f"[phi4:14b] you said: {MATHS}\n")


def test_a_terminal_that_cannot_write_a_letter_gets_a_question_mark(inside: House) -> None:
    done = inside.moe("ask", CODE, "--json", env={"PYTHONIOENCODING": "ascii"})
    assert json.loads(done.stdout)["expert"] == "código"
    inside.ollama.script("phi4:14b", [answer("raíz")])
    assert inside.moe("ask", MATHS, env={"PYTHONIOENCODING": "ascii"}).stdout == "ra?z\n"


def test_another_program_on_the_port_is_passed_over(inside: House) -> None:
    with fake_ollama(["gemma3:4b"]) as other:
        done = inside.moe("ask", MATHS, env={"MOE_PORT": str(other.port)})
    assert (done.returncode, done.stdout) == (0, f"[phi4:14b] you said: {MATHS}\n")
    assert [request.path for request in other.requests] == ["/health"]


def test_a_server_that_is_named_must_answer(inside: House) -> None:
    done = inside.moe("ask", MATHS, "--url", "127.0.0.1:1")
    assert (done.returncode, done.stderr) == (1, "moe: no server answers at http://127.0.0.1:1\n")
    done = inside.moe("ask", MATHS, "--url", inside.ollama.url)
    assert (done.returncode, done.stderr) == (1, f"moe: what answers at {inside.ollama.url} is another program\n")
    assert not inside.ollama.requests_to("/api/chat")


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:port", "http://[::1"])
def test_an_address_that_is_none_is_a_misuse(inside: House, url: str) -> None:
    done = inside.moe("ask", MATHS, "--url", url)
    assert done.returncode == 2
    assert "is no address like" in done.stderr


def test_a_running_server_is_used_and_may_be_passed_over(served: House) -> None:
    assert served.moe("ask", MATHS).returncode == 0
    assert not (served.folder / "logs").exists()
    assert served.moe("ask", MATHS, "--local").returncode == 0
    assert (served.folder / "logs" / "moe.log").exists()


def test_a_server_is_found_by_the_config_too(served: House) -> None:
    port = served.env["MOE_PORT"]
    config = served.folder / "config" / "config.json"
    told = json.loads(config.read_text())
    config.write_text(json.dumps({**told, "server": {"port": int(port), "threads": 32}}))
    assert served.moe("ask", MATHS, env={"MOE_PORT": ""}).returncode == 0
    assert not (served.folder / "logs").exists()


def test_a_server_is_used_even_if_the_config_was_broken_since(served: House) -> None:
    (served.folder / "config" / "experts.json").write_text("{")
    assert served.moe("ask", MATHS).stdout == f"[phi4:14b] you said: {MATHS}\n"


def test_a_refused_config_is_told_in_full(inside: House) -> None:
    (inside.folder / "config" / "experts.json").write_text('{"experts": [{"id": 1, "label": "a/b", "tipe": 1}]}')
    done = inside.moe("ask", MATHS)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 3
    assert all(line.startswith("moe: ") and "experts.json:1: at $." in line for line in done.stderr.splitlines())


def test_a_log_that_cannot_be_written_is_no_reason_to_fail(inside: House) -> None:
    (inside.folder / "logs").write_text("a file, not a folder")
    done = inside.moe("ask", MATHS)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_an_answer_that_begins_late_is_the_same_answer(house: House) -> None:
    house.ollama.script("phi4:14b", [answer("At last.", first_token_delay_s=5.5)])
    told = json.loads(house.moe("ask", MATHS, "--json").stdout)
    assert (told["text"], told["expert"], told["model"]) == ("At last.", "math", "phi4:14b")


@contextmanager
def impostor(*lines: bytes, ends_well: bool = True) -> Iterator[str]:
    """Looks like a server of ours, and answers every chat with these lines; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send([b'{"version":"1","router":{},"experts":{}}'])

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._send(list(lines), ends_well=ends_well)

        def _send(self, pieces: list[bytes], *, ends_well: bool = True) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in pieces:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n" if ends_well else b"ff\r\n")
            self.close_connection = not ends_well

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("ends_well", [True, False])
@pytest.mark.parametrize("last", [b"", b'{"mess', b"<html>", b"[1]\n"])
def test_a_server_that_stops_in_the_middle_is_told(inside: House, last: bytes, ends_well: bool) -> None:
    said = b'{"model":"m","message":{"content":"half"},"done":false}\n'
    lines = (said, last) if last else (said,)
    with impostor(*lines, ends_well=ends_well) as url:
        done = inside.moe("ask", MATHS, "--url", url)
    assert (done.returncode, done.stdout, done.stderr) == (1, "half\n", "moe: the answer broke off\n")
