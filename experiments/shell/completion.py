"""``completion bash|zsh``: a script for one's shell, and the words that it asks for."""

from __future__ import annotations

import argparse

from experiments.shell import finding, words
from experiments.shell.call import Call, Command
from experiments.shell.trouble import Trouble

# The shell gives the words typed so far; ``complete-words`` answers with one candidate a line.
BASH = r"""# AutoTune Web, for bash: eval "$(autotune completion bash)"
_autotune() {
    local word=${COMP_WORDS[COMP_CWORD]} IFS=$'\n' found each
    COMPREPLY=()
    found=$("${COMP_WORDS[0]}" complete-words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) ||
        found=
    for each in $found; do
        each=$(printf '%q' "$each")
        [[ $each == "$word"* ]] && COMPREPLY+=("$each")
    done
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -F _autotune autotune ./autotune
"""
ZSH = r"""#compdef autotune
# AutoTune Web, for zsh: eval "$(autotune completion zsh)", behind compinit
_autotune() {
    local -a found open
    found=(${(f)"$(${words[1]} complete-words -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    open=(${(M)found:#*=}) # a value follows at once
    found=(${found:#*=})
    (( ${#open} )) && compadd -S '' -a open
    (( ${#found} )) && compadd -a found
    (( ${#open} + ${#found} )) || _files
}
compdef _autotune autotune ./autotune
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH}

OF_ALL = ("--json", "--data", "--url", "--token", "--help")
OPTIONS = {
    "ls": ("--phase", "--search", "--order", "--limit"),
    "trials": ("--where", "--state", "--order", "--limit"),
    "logs": ("--follow", "--log"),
    "export": ("--format", "--output"),
    "rm": ("--yes",),
    "import": ("--study", "--all", "--mode", "--objective", "--parameters", "--json", "--data"),
    "run": ("--detach", "--python", "--json", "--data"),
    "up": ("--host", "--port", "--python", "--no-sample", "--data"),
}
VALUES = {
    "--mode": ("minimize", "maximize"),
    "--format": ("json", "csv", "yaml", "html"),
    "--phase": ("PENDING", "RUNNING", "DONE", "TIMEOUT", "ERROR"),
    "--state": ("WAITING", "RUNNING", "SUCCEEDED", "FAILED", "EARLY_STOPPED", "CANCELED", "LOST"),
}
SETTINGS = ("maxTrialNum=", "maxExecSeconds=", "trialConcurrency=", "name=", "notes=")
TAKE_NO_ID = frozenset({"ls", "completion", "up", "run", "validate", "import", "manage", "test"})
MOST_NAMED = 200  # experiments, the newest first


def _takes_shell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=sorted(SCRIPTS))


def completion(call: Call) -> int:
    script = SCRIPTS[call.options.shell]
    return call.tell({"shell": call.options.shell, "script": script}, lambda: script.rstrip("\n"))


def _takes_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*")


def complete(call: Call) -> int:
    """Print what the last word may become, one a line; nothing where nothing can be said."""
    *before, last = call.options.words or [""]
    try:
        found = candidates(call, before, last)
    except Trouble:
        return 0
    for each in found:
        if each.startswith(last) and each.isprintable():
            call.say(each)
    return 0


def candidates(call: Call, before: list[str], last: str) -> list[str]:
    if not before:
        return list(words.summaries())
    command, *rest = before
    if rest and rest[-1] in VALUES:
        return list(VALUES[rest[-1]])
    if last.startswith("-"):
        shared = () if command in ("up", "run", "validate", "import", "manage", "test") else OF_ALL
        return [*OPTIONS.get(command, ()), *shared]
    if command == "completion":
        return sorted(SCRIPTS)
    given = [word for word in rest if not word.startswith("-")]
    if command == "set" and given:
        return list(SETTINGS)
    if command in TAKE_NO_ID or command not in words.summaries():
        return []
    if not given:
        return _experiments(call)
    if command in ("logs", "stop", "retry"):
        return _numbers(call, command, given[0])
    return []


def _experiments(call: Call) -> list[str]:
    found = call.client.pages("experiments/", MOST_NAMED)[0]
    names = [each["name"] for each in found]
    return [each["id"] for each in found] + [n for n in dict.fromkeys(names) if names.count(n) == 1]


def _numbers(call: Call, command: str, word: str) -> list[str]:
    states = {"stop": "RUNNING,WAITING", "retry": "FAILED,LOST,EARLY_STOPPED,CANCELED"}
    query = {"state": states[command]} if command in states else {}
    experiment = finding.experiment(call.client, word)
    path = f"experiments/{experiment['id']}/trials/"
    return [
        str(t["number"]) for t in call.client.pages(path, MOST_NAMED, order="-number", **query)[0]
    ]


COMMANDS = {
    "completion": Command(completion, _takes_shell),
    "complete-words": Command(complete, _takes_words),
}
