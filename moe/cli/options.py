"""What may be said on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .. import __version__

EXAMPLES = """\
examples:
  python -m moe                               chat (/help there lists its commands)
  echo "Why is the sky blue?" | python -m moe
  python -m moe ask "12 * 17?" --model math
  git diff | python -m moe ask - --system "Review this change."
  python -m moe route "my head hurts"         who would answer, and why
  python -m moe route --batch prompts.jsonl labels.jsonl
  python -m moe explain "my head hurts"       which words and examples decided
  python -m moe eval labelled.jsonl           how often the router is right
  python -m moe tune labelled.jsonl           better settings for it
  python -m moe train --out models/mine       a classifier in its place
  python -m moe trace                         what became of the newest request, step by step
  python -m moe experts
  python -m moe tool calculate expression="15% of 239.99"
  python -m moe check --config ./config
  python -m moe laws import BGB               a statute for the legal tools
  python -m moe serve --port 8080

A running server is used where there is one; else the config is loaded and the work is done here.
exit codes: 0 done, 1 failed, 2 wrong usage or a refused config, 130 interrupted
"""
PLACES = (
    ("--config", "DIR", "folder of config.json and experts.json (MOE_CONFIG, else config)"),
    ("--data", "DIR", "folder for what is kept (MOE_DATA, else data)"),
)
TRAINING = (
    ("--epochs", 0, 100, 3, "how often all prompts are gone through; 0 = the encoder stays as it is"),
    ("--batch-size", 1, 1024, 32, "prompts in one step"),
    ("--learning-rate", 1e-7, 1e-1, 2e-4, "the learning rate at its height"),
    ("--max-tokens", 8, 128, 64, "how much of a prompt is read"),
    ("--hold-out", 0.01, 0.5, 0.1, "share of the prompts that tells when to stop and how sure to be"),
    ("--seed", 0, 2**31, 0, "for another order and other prompts held out"),
)


class Misuse(Exception):
    """The command line asks for what makes no sense; the text says what."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of one call; `runs` names the module that runs it. Exits by itself for --help and for nonsense."""
    defaults: dict[str, Any] = {"config": None, "data": None, "url": None, "local": False, "model": "", "system": ""}
    parser = argparse.ArgumentParser(
        prog="python -m moe", description="One private endpoint in front of every model you have.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"moe {__version__}")
    parser.set_defaults(runs="chat", **defaults)
    _add_line(parser)
    _add_speech(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_ask(commands)
    _add_route(commands)
    _add_trace(commands)
    _add_experts(commands)
    _add_check(commands)
    _add_serve(commands)
    _add_prepare(commands)
    _add_eval(commands)
    _add_tune(commands)
    _add_explain(commands)
    _add_train(commands)
    _add_tools(commands)
    _add_laws(commands)
    _add(commands, "schema", "print the JSON Schema of both config files")
    options = parser.parse_args(arguments)
    if getattr(options, "batch", None):
        options.runs = "batch"
    return options


def _add(commands: Any, name: str, told: str) -> argparse.ArgumentParser:
    sentence = f"{told[:1].upper()}{told[1:]}."
    parser: argparse.ArgumentParser = commands.add_parser(name, help=told, description=sentence)
    parser.set_defaults(runs=name)
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    for flag, kind, told in PLACES:
        parser.add_argument(flag, metavar=kind, default=argparse.SUPPRESS, help=told)


def _add_line(parser: argparse.ArgumentParser) -> None:
    """Options that stand before or after the command; an unsaid one must not undo what was said before it."""
    _add_places(parser)
    parser.add_argument("--url", metavar="URL", default=argparse.SUPPRESS,
                        help="the server to talk to (else MOE_HOST and MOE_PORT, else the config's)")
    parser.add_argument("--local", action="store_true", default=argparse.SUPPRESS,
                        help="work in this process even if a server runs")


def _add_speech(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME", default=argparse.SUPPRESS,
                        help="an expert, an alias or a model; unsaid, the router chooses")
    parser.add_argument("--system", metavar="TEXT", default=argparse.SUPPRESS, help="a system prompt")


def _add_ask(commands: Any) -> None:
    parser = _add(commands, "ask", "answer one prompt")
    parser.add_argument("prompt", help='the prompt; "-" reads it from standard input')
    _add_speech(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the text")
    _add_line(parser)


def _add_route(commands: Any) -> None:
    parser = _add(commands, "route", "show who would answer, and why, calling no model")
    parser.add_argument("text", nargs="?", help='the prompt; "-" reads it from standard input')
    parser.add_argument("--model", metavar="NAME", default=argparse.SUPPRESS, help="the model that would be asked for")
    parser.add_argument("--json", action="store_true", help="print what /v1/route gives")
    parser.add_argument("--batch", nargs=2, metavar=("IN.jsonl", "OUT.jsonl"),
                        help='label many: {"id","text"|"messages"} a line becomes {"id","label","confidence","stage"}')
    parser.add_argument("--experts", metavar="FILE", help="with --batch: the experts, in place of the config's own")
    _add_line(parser)


def _add_trace(commands: Any) -> None:
    parser = _add(commands, "trace", "show what became of a request: who was asked, for how long, and why")
    parser.add_argument("id", nargs="?", help="the request's X-Request-Id; unsaid, the newest")
    parser.add_argument("--json", action="store_true", help="print what /v1/requests/<id> gives")
    _add_line(parser)


def _add_experts(commands: Any) -> None:
    parser = _add(commands, "experts", "list the experts and the models that serve them")
    parser.add_argument("--json", action="store_true", help="print them as JSON")
    _add_line(parser)


def _add_check(commands: Any) -> None:
    parser = _add(commands, "check", "check the configuration and what it needs on this machine")
    _add_places(parser)


def _add_prepare(commands: Any) -> None:
    parser = _add(commands, "prepare", "fit the router's scorer to the experts now, as set-up does")
    parser.add_argument("--experts", metavar="FILE", help="the experts, in place of the config's own")
    _add_places(parser)


def _add_eval(commands: Any) -> None:
    parser = _add(commands, "eval", "judge the router by labelled prompts: accuracy, calibration, confusions, time")
    parser.add_argument("file", metavar="FILE.jsonl",
                        help='{"text"|"messages","label"[,"id","alt","lang","kind","source"]} a line; '
                             'the label "fallback" = no expert fits')
    parser.add_argument("--experts", metavar="FILE", help="the experts, in place of the config's own")
    parser.add_argument("--html", metavar="OUT", help="also write a page with plots")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    _add_places(parser)


def _add_tune(commands: Any) -> None:
    parser = _add(commands, "tune", "fit thresholds and weights to labelled prompts, and show what that is worth")
    parser.add_argument("file", metavar="FILE.jsonl", help="as for eval; rows of one source are held out together")
    parser.add_argument("--write", action="store_true",
                        help="set in config.json what was better, with a copy of the former file beside it")
    _add_places(parser)


def _add_explain(commands: Any) -> None:
    parser = _add(commands, "explain", "tell which words, examples and features chose the expert of a prompt")
    parser.add_argument("text", nargs="?", help='the prompt; "-" reads it from standard input')
    parser.add_argument("--experts", metavar="FILE", help="the experts, in place of the config's own")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _add_places(parser)


def _add_train(commands: Any) -> None:
    parser = _add(commands, "train", "train a text classifier on labelled prompts, to choose the experts (needs torch)")
    parser.add_argument("file", metavar="FILE.jsonl", nargs="?",
                        help="as for eval; unsaid, the experts' own examples are learnt from")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="where the classifier goes, such as models/mine")
    parser.add_argument("--packs", action="store_true", help="learn from the experts' own examples too")
    parser.add_argument("--experts", metavar="FILE", help="the experts, in place of the config's own")
    parser.add_argument("--start", metavar="FOLDER",
                        help="the BERT to begin from (that of the encoder made at set-up): model.safetensors, "
                             "config.json and tokenizer.json")
    parser.add_argument("--fetch", action="store_true", help="fetch the encoder's weights where they are not here")
    for flag, low, high, default, told in TRAINING:
        parser.add_argument(flag, metavar="N", type=_within(low, high), default=default, help=f"{told} ({default:g})")
    parser.add_argument("--compare", action=argparse.BooleanOptionalAction, default=True,
                        help="judge the hybrid router too, taught by the same prompts (done unless refused)")
    _add_places(parser)


def _add_tools(commands: Any) -> None:
    """What answers exactly and without a model: the list, one call, and all of them for another program."""
    listing = _add(commands, "tools", "list the exact tools, which answer without a model")
    listing.add_argument("--json", action="store_true", help="print them as JSON, with the schema of what each takes")
    call = _add(commands, "tool", "call an exact tool")
    call.add_argument("name", metavar="NAME", help="the tool; python -m moe tools lists them")
    call.add_argument("arguments", metavar="KEY=VALUE", nargs="*",
                      help='its arguments; "@FILE" as a value reads the file, "-" standard input, "@@" begins with "@"')
    call.add_argument("--json", action="store_true", help="print one JSON object, as POST /v1/tools gives it")
    served = _add(commands, "mcp", "serve the exact tools over the Model Context Protocol, on this process's pipes")
    for parser in (call, served):
        parser.add_argument("--language", choices=("en", "de", "es"), default="en", help="of what is said (en)")
    for parser in (listing, call, served):
        _add_places(parser)


def _within(low: float, high: float) -> Callable[[str], float]:
    """Reads a number from `low` to `high`, a whole one where they are whole."""
    kind = type(low)

    def number(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not from {low:g} to {high:g}")
        return value

    return number


def _add_laws(commands: Any) -> None:
    parser = _add(commands, "laws", "import German statutes for the legal tools, list or remove them")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    told = "import statutes from the official site, a mirror, an address, a file or a folder"
    action = actions.add_parser("import", help=told, description=f"{told[:1].upper()}{told[1:]}.")
    action.add_argument("sources", nargs="*", metavar="SOURCE",
                        help="an abbreviation (BGB), the address of a zip, an XML file or a site's gii-toc.xml, "
                             "or a file or folder of such")
    action.add_argument("--all", action="store_true",
                        help="all statutes of the site, thousands of them; what was retrieved today is passed over")
    _add_places(action)
    _add_places(actions.add_parser("list", help="list what is imported"))
    action = actions.add_parser("remove", help="remove imported statutes")
    action.add_argument("names", nargs="+", metavar="LAW", help="an abbreviation or title")
    _add_places(action)


def _add_serve(commands: Any) -> None:
    parser = _add(commands, "serve", "serve, as ./start.sh does")
    parser.add_argument("--host", help="address to listen on (MOE_HOST, else 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (MOE_PORT, else 11435)")
    _add_places(parser)
