#!/bin/sh
# As root: gives root-owned mounts to the user 1000, becomes that user and starts anew.
# As that user, or as whom --user names: brings the mounts what they lack, then becomes the command.
set -eu

home=$(cd "$(dirname "$0")/.." && pwd)
user=1000
scratch=

# The first process of a container hears only those signals that it asks for. The command asks for its own.
trap 'rm -rf "$scratch"; exit 0' TERM INT

say() { echo "moe: $*" >&2; }

# A mount that cannot be given is told of below, by the user who does not get it.
give_mounts() {
    for folder in config models data; do
        [ "$(stat -c %u "$home/$folder")" != 0 ] || chown "$user:$user" "$home/$folder" 2>/dev/null || :
    done
}

become_user() {
    drop="setpriv --reuid=$user --regid=$user --clear-groups --no-new-privs"
    if ! $drop true; then
        say "root cannot become the user $user here: start the container with --user $user:$user"
        exit 1
    fi
    exec $drop "$0" "$@"
}

# Nothing that is there is touched, and nothing is ever there by half.
fill() {
    for default in "$home/defaults/$1"/*; do
        target=$home/$1/${default##*/}
        if [ -e "$target" ] || [ -L "$target" ]; then continue; fi
        scratch=$(mktemp -d "$home/$1/.new-XXXXXX")
        cp -R "$default" "$scratch/whole"
        mv -nT "$scratch/whole" "$target" || [ -e "$target" ] # another container came first
        rm -rf "$scratch"
    done
}

# provide FOLDER NEEDED CONSEQUENCE: fills the folder, or says what follows where it cannot.
provide() {
    if [ -w "$home/$1" ]; then
        fill "$1"
    elif [ ! -e "$home/$1/$2" ]; then
        say "$home/$1 cannot be written by the user $(id -u):$(id -g)$3"
    fi
}

if [ "$(id -u)" = 0 ]; then
    give_mounts
    become_user "$@"
fi
encoder=$home/defaults/models/encoder
provide config config.json " and has no config.json: mount a folder that this user may write, or one with the files; \
--user chooses another user"
provide models encoder " and has no encoder: prompts are routed by keywords, unless config.json has \
\"router\": {\"model_path\": \"$encoder/$(cat "$encoder/current")\"}"
[ -w "$home/data" ] || say "$home/data cannot be written by the user $(id -u):$(id -g): no counts and logs are kept"
exec "$@"
