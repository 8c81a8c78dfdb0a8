#!/usr/bin/env bash
# Makes what ./start.sh needs: Python packages in venv/, the router's encoder and a model in models/. Safe to run again.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cpu_index=https://download.pytorch.org/whl/cpu
sets=base
language=
model=
config=${MOE_CONFIG:-}
models=${MOE_MODELS:-}
laws=
if_needed=

usage() {
    cat <<'TEXT'
usage: ./setup.sh [--full] [--with SET]... [--model [NAME]] [--language WHICH] [--laws] [--config DIR] [--if-needed]

Without options: what the first answer over Ollama needs, and what the config and the models folder use.

  --full            everything: api, local, torch and extra
  --with SET        add a set; may be repeated
                      api     LiteLLM, for experts of type "api"
                      local   llama-cpp-python, for GGUF files (compiled here, about ten minutes)
                      torch   PyTorch and sentence-transformers, for encoders without ONNX and for `moe train`
                      extra   SymPy and the Redis client
                      test    pytest, mypy, ruff and the clients that ./test.sh uses
  --model [NAME]    a model for this process, from Hugging Face (or $HF_ENDPOINT) into the models folder; brings the
                    set local too. A download that was cut goes on where it stopped. NAME is one of
                      qwen2.5-1.5b  1.1 GB, 29 languages, tools (the default)
                      qwen2.5-0.5b  676 MB, 29 languages
                      smollm2-360m  386 MB, English only, the quickest
                      qwen3-4b      2.5 GB, 119 languages, tools, the best and the slowest
                    (all Apache-2.0), or any OWNER/REPO, OWNER/REPO:QUANT or OWNER/REPO/FILE.gguf
  --language WHICH  the encoder that routes prompts by meaning
                      multi         all-MiniLM-L6-v2 with use-multilingual-v3, 101 MB, 16 languages (the default)
                      use           use-multilingual-v3 alone, the quickest, 77 MB
                      en            all-MiniLM-L6-v2 alone, English, 24 MB (also: minilm)
                      en-bge        bge-small-en-v1.5, English, 34 MB, about twice the time of en (also: bge)
                      multilingual  multilingual-e5-small, 118 MB, 94 languages (also: e5)
  --laws            the German statutes BGB, StGB, HGB and GG for the legal tools, from www.gesetze-im-internet.de (or
                    $MOE_LAWS_URL)
  --config DIR      the config folder that is looked at (default: $MOE_CONFIG, else config)
  --if-needed       say nothing when nothing is to be done, and try nothing again that failed before
  --help            this text
TEXT
}

say() { printf '\n== %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }

refuse() {
    printf 'setup.sh: %s\n\n' "$1" >&2
    usage >&2
    exit 2
}

add_set() {
    case $1 in
        api | local | torch | extra | test) ;;
        *) refuse "there is no set \"$1\"" ;;
    esac
    case " $sets " in *" $1 "*) ;; *) sets="$sets $1" ;; esac
}

read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
            --full) for name in api local torch extra; do add_set "$name"; done ;;
            --if-needed) if_needed=yes ;;
            --laws) laws=yes ;;
            -h | --help) usage && exit 0 ;;
            --model)
                model=default
                case ${2--} in -*) ;; *) model=${2:-default} && shift ;; esac
                add_set local
                ;;
            --with=* | --language=* | --model=* | --config=*)
                option=${1%%=*} value=${1#*=}
                shift
                set -- "$option" "$value" "$@"
                continue
                ;;
            --with | --language | --config)
                [ $# -gt 1 ] || refuse "$1 needs a value"
                case $1 in
                    --with) add_set "$2" ;;
                    --language) language=$2 ;;
                    --config) config=$2 ;;
                esac
                shift
                ;;
            *) refuse "unknown option $1" ;;
        esac
        shift
    done
}

encoder_name() {
    case $1 in
        multi) echo all-MiniLM-L6-v2+use-multilingual-v3 ;;
        use) echo use-multilingual-v3 ;;
        en | minilm) echo all-MiniLM-L6-v2 ;;
        en-bge | bge) echo bge-small-en-v1.5 ;;
        multilingual | e5) echo multilingual-e5-small ;;
        *) return 1 ;;
    esac
}

suits() { "$1" -c "import sys; sys.exit(not ($2))" >/dev/null 2>&1; }

find_python() {
    # Every pin has wheels up to 3.14; a newer Python is the last resort.
    for range in '(3, 10) <= sys.version_info[:2] <= (3, 14)' 'sys.version_info >= (3, 10)'; do
        for name in python3 python3.13 python3.12 python3.11 python3.10 python3.14; do
            if suits "$name" "$range $1"; then
                echo "$name"
                return
            fi
        done
    done
    return 1
}

as_root() { [ "$(id -u)" = 0 ] && echo "$*" || echo "sudo $*"; }

# install_line BREW APT DNF PACMAN: the command for this system, or nothing.
install_line() {
    if [ "$(uname -s)" = Darwin ]; then
        echo "$1"
    elif has apt-get; then
        as_root apt-get install -y "$2"
    elif has dnf; then
        as_root dnf install -y "$3"
    elif has pacman; then
        as_root pacman -S --noconfirm "$4"
    fi
}

python_line() {
    apt="python3 python3-venv"
    for minor in 10 11 12 13; do
        if has apt-cache && apt-cache show "python3.$minor-venv" >/dev/null 2>&1; then
            apt="python3.$minor python3.$minor-venv"
        fi
    done
    install_line "brew install python@3.13" "$apt" python3.12 python
}

make_venv() {
    if ! python=$(find_python 'and bool(__import__("ensurepip") and __import__("venv"))'); then
        found=$(python3 --version 2>&1 | grep '^Python' || true)
        if python=$(find_python '') && has apt-get; then
            version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            echo "Python $version is here, but its venv module is not. Install it, then run this again:"
            echo "  $(as_root apt-get install -y "python$version-venv")"
        else
            echo "Python 3.10 or newer is needed; here is ${found:-none}. Install it, then run this again:"
            line=$(python_line)
            echo "  ${line:-https://www.python.org/downloads/}"
        fi
        exit 1
    fi >&2
    say "Virtual environment: venv/, $("$python" --version)"
    "$python" -m venv --clear venv
}

# Shows what takes long; errors and warnings come through as they are.
pip_install() {
    PYTHONUNBUFFERED=1 venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" |
        { grep --line-buffered -E '^ *Downloading .* MB\)|^ *Building wheel' || true; }
}

list_of() { [ "$1" = base ] && echo requirements.txt || echo "requirements/$1.txt"; }

fingerprint() { echo "$python_version $(cksum <"$(list_of "$1")")"; }

is_stamped() { [ -f "venv/.stamp-$1" ] && [ "$(cat "venv/.stamp-$1")" = "${2:-}$(fingerprint "$1")" ]; }

is_done() { is_stamped "$1" || { [ -n "$if_needed" ] && is_stamped "$1" "failed "; }; }

has_nvidia() { [ -e /proc/driver/nvidia/version ] || { has nvidia-smi && nvidia-smi -L >/dev/null 2>&1; }; }

can_reach() {
    venv/bin/python -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' "$1" >/dev/null 2>&1
}

install_local() {
    if ! has "${CXX:-c++}" && ! has g++ && ! has clang++; then
        echo "llama-cpp-python is compiled here and there is no C++ compiler. Install one, then ./setup.sh --with local:"
        install_line "xcode-select --install" build-essential "gcc-c++ make" base-devel | sed 's/^/  /'
        return 1
    fi
    cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
    echo "Compiled from source on $cores cores: about ten minutes on two, quick the next time."
    CMAKE_BUILD_PARALLEL_LEVEL=$cores pip_install -r requirements/local.txt
}

install_torch() {
    pin=$(sed -n 's/^torch==//p' requirements/torch.txt)
    if [ "$(uname -s)" = Linux ] && ! has_nvidia; then
        # "+cpu" names the build without CUDA and no other, so no gigabytes can come along, wherever it is found.
        if can_reach "$cpu_index/"; then
            pip_install --extra-index-url "$cpu_index" "torch==$pin+cpu"
        else
            pip_install "torch==$pin+cpu"
        fi || {
            echo "PyTorch's CPU build was not found, and CUDA's gigabytes are of no use without an NVIDIA card."
            echo "With a network that reaches $cpu_index:  ./setup.sh --with torch"
            echo "With the wheel torch-$pin+cpu in a folder:  PIP_FIND_LINKS=FOLDER ./setup.sh --with torch"
            return 1
        }
    fi
    pip_install -r requirements/torch.txt
}

install_set() {
    names=$(grep -v '^#' "$(list_of "$1")" | sed 's/[=;].*//' | uniq)
    say "Packages ($1):" $names
    case $1 in
        local) install_local ;;
        torch) install_torch ;;
        *) pip_install -r "$(list_of "$1")" ;;
    esac
}

check_base() { venv/bin/python -c 'import flask, httptools, msgspec, numpy, onnxruntime, rapidfuzz, requests, sentencepiece, sklearn, tokenizers, waitress'; }

install_sets() {
    for name in "$@"; do
        is_done "$name" && continue
        worked=yes
        if install_set "$name" && { [ "$name" != base ] || check_base; }; then
            fingerprint "$name" >"venv/.stamp-$name"
        else
            echo "failed $(fingerprint "$name")" >"venv/.stamp-$name"
            [ "$name" != base ] || exit 1
            failed="$failed $name"
        fi
    done
}

has_gguf() { for file in "$models"/*.gguf; do [ ! -f "$file" ] || return 0; done; return 1; }

# What the config names and the models folder holds.
sets_in_use() {
    experts=${config:-config}/experts.json
    [ -f "$experts" ] || experts=config/experts.example.json
    [ -f "$experts" ] || experts=/dev/null
    if grep -Eq '"type"[[:space:]]*:[[:space:]]*"api"' "$experts"; then echo api; fi
    gguf='"format"[[:space:]]*:[[:space:]]*"gguf"|"model_path"[[:space:]]*:[[:space:]]*"[^"]*\.gguf"'
    if has_gguf || grep -Eq "$gguf" "$experts"; then echo local; fi
}

# Before anything that takes minutes is built for it, so that without a network nothing is changed.
fetch_model() {
    worked=yes
    say "Model"
    [ "$model" != default ] || model=
    venv/bin/python -m moe.weights --models "$models" ${model:+"$model"}
}

ask_language() {
    [ -t 0 ] && [ -t 1 ] || return 0
    printf '\nIn which languages will the prompts be?\n'
    printf '  1  English, German, Spanish and 13 more (101 MB)\n  2  English, in little memory (24 MB)\n'
    printf '  3  94 languages (118 MB)\n1, 2 or 3 [1]: '
    read -r answer || answer=
    case $answer in 2) language=en ;; 3) language=multilingual ;; esac
}

make_encoder() {
    current=$(cat "$models/encoder/current" 2>/dev/null || true)
    [ -f "$models/encoder/$current/encoder.json" ] || current=
    case $current in *+*) grep -q '"quick"' "$models/encoder/$current/encoder.json" || current= ;; esac
    if [ -n "$current" ] && { [ -z "$language" ] || [ "$current" = "$(encoder_name "$language")" ]; }; then return; fi
    if [ -n "$if_needed" ] && [ -z "$language" ] && [ -f venv/.stamp-encoder ]; then return; fi
    [ -n "$language" ] || ask_language
    worked=yes
    say "Encoder"
    venv/bin/python -m moe.encoders --language "${language:-multi}" --models "$models" || true
    : >venv/.stamp-encoder
}

# Fits the scorer to the config's experts, which the first start would else do in the background. Where only this
# script was copied there is nothing to fit yet.
prepare_router() {
    [ -f moe/__main__.py ] && [ -f "$models/encoder/current" ] || return 0
    say "Router: fitted to the experts' examples"
    MOE_MODELS=$models venv/bin/python -m moe prepare ${config:+--config "$config"} || true
}

# What cannot be had now can be had later: the server runs without.
import_laws() {
    worked=yes
    say "Statutes: BGB, StGB, HGB, GG"
    venv/bin/python -m moe laws import BGB StGB HGB GG ||
        echo "Not all could be imported. To try again:  ./setup.sh --laws"
}

report_models() {
    models=$models is_built=$(is_stamped local && echo yes) venv/bin/python - <<'PYTHON'
import json, os, platform, shutil, urllib.request
from pathlib import Path
from urllib.parse import urlsplit


def spell(names):
    return ", ".join("".join(filter(str.isprintable, name)) for name in names)


files = sorted(file.stem for file in Path(os.environ["models"]).glob("*.gguf"))
can_answer = bool(files and os.environ["is_built"])
if can_answer:
    print("In this process: " + spell(files))
given = os.environ.get("MOE_OLLAMA_URL") or os.environ.get("OLLAMA_HOST") or "127.0.0.1:11434"
parts = urlsplit(given if "://" in given else "http://" + given)
host = parts.hostname if parts.hostname not in (None, "0.0.0.0", "::") else "127.0.0.1"
port = parts.port or (443 if parts.scheme == "https" else 11434)
address = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
pull = "ollama pull gemma3:4b"
install = "curl -fsSL https://ollama.com/install.sh | sh"
if platform.system() == "Darwin":
    install = "brew install ollama && brew services start ollama"
try:
    with urllib.request.urlopen(address + "/api/tags", timeout=1.5) as reply:
        names = spell(str(model["name"]) for model in json.load(reply)["models"])
    print(f"Ollama at {address}: " + (names or f"no model yet. To get one:\n  {pull}"))
except (OSError, ValueError, KeyError, TypeError):
    print(f"No Ollama answers at {address}.", end=" ")
    if can_answer:
        print("None is needed.")
    elif host not in ("127.0.0.1", "localhost", "::1"):
        print("Is it running there?")
    elif shutil.which("ollama"):
        print(f"It is installed; to start it and get a model:\n  ollama serve & sleep 3; {pull}")
    else:
        print(f"To get it, and a model:\n  {install} && {pull}")
    if not files:
        print("Or a model in this process, without Ollama:\n  ./setup.sh --model")
PYTHON
}

read_options "$@"
[ -z "$language" ] || encoder_name "$language" >/dev/null || refuse "there is no language \"$language\""
case $config in "" | /*) ;; *) config=$PWD/$config ;; esac
case $models in "" | /*) ;; *) models=$PWD/$models ;; esac
cd "$here"
models=${models:-models}

asked=$sets
failed=
worked=
read_version='import sys; print("%d.%d" % sys.version_info[:2])'
if ! python_version=$(venv/bin/python -c "$read_version" 2>/dev/null) || [ ! -d "venv/lib/python$python_version" ]; then
    make_venv
    python_version=$(venv/bin/python -c "$read_version")
fi
install_sets base
[ -z "$model" ] || fetch_model || exit $?
for name in $(sets_in_use); do add_set "$name"; done
install_sets $sets
make_encoder
[ -z "$laws" ] || import_laws
[ -n "$worked" ] || [ -z "$if_needed" ] || exit 0
prepare_router

say "Ready"
report_models
[ -f "$models/encoder/$(cat "$models/encoder/current" 2>/dev/null || true)/encoder.json" ] ||
    echo "No encoder: prompts are routed by keywords. To try again:  ./setup.sh"
for name in $failed; do echo "Not installed: $name. To try again:  ./setup.sh --with $name"; done
[ -n "$if_needed" ] || echo "Start:  ./start.sh   then point a client at http://127.0.0.1:11435"
for name in $failed; do case " $asked " in *" $name "*) exit 1 ;; esac; done
