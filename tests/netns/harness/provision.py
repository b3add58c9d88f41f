# SPDX-License-Identifier: Apache-2.0
"""botls-provision with its configuration as data."""

import json
import os
import pathlib
import subprocess

from .botlsd import BUILD, option_lines
from .wait import SLOW

PROVISION = pathlib.Path(os.environ.get("BOTLS_PROVISION") or BUILD / "botls-provision")
DEADLINE = 60 * SLOW  # seconds until a run counts as hanging


class Run:
    """How one run ended."""

    def __init__(self, result):
        self.status = result.returncode
        self.out = result.stdout
        self.err = result.stderr

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def steps(self):
        return {s["neighbor"]: s for s in self.json["plan"]["steps"]}

    @property
    def actions(self):
        """What happens first to each neighbor."""
        return {s["neighbor"]: s["action"] for s in reversed(self.json["plan"]["steps"])}

    def __repr__(self):
        return f"exit status {self.status}\n{self.out}{self.err}"


class Provision:
    """Change `options`, `servers` {name: options}, `peers` {asn: options}, `daemons` {name: options}; then configure().

    `command` turns an argv into one that is run in the right place.
    """

    def __init__(self, folder, command=list):
        self.folder = folder
        self.command = command
        self.state_folder = folder / "state"
        self.path = folder / "provision.conf"
        self.options, self.servers, self.peers, self.daemons = {"state-folder": self.state_folder}, {}, {}, {}

    def configure(self):
        text = list(option_lines(self.options))
        for kind, blocks in (("server", self.servers), ("peer", self.peers), ("daemon", self.daemons)):
            for name, options in blocks.items():
                title = f"AS{name}" if kind == "peer" else name
                text += [f'{kind} "{title}" {{', *option_lines(options, "\t"), "}"]
        self.path.write_text("\n".join(text) + "\n")
        self.path.chmod(0o600)

    def argv(self, *words):
        return self.command([str(PROVISION), "-c", str(self.path), *map(str, words)])

    def run(self, *words, want=0, as_json=True, **options):
        """`want`: the exit status, or a list of those that are right; None: any."""
        result = Run(subprocess.run(self.argv(*(["--json"] if as_json else []), *words), capture_output=True, text=True,
                                    timeout=DEADLINE, stdin=subprocess.DEVNULL, cwd=self.folder, **options))
        wanted = want if isinstance(want, (list, tuple)) else [want]
        assert want is None or result.status in wanted, f"{words}: {result!r}"
        return result

    def saved(self):
        return json.loads((self.state_folder / "state.json").read_text())

    def audit(self, event=None):
        text = (self.state_folder / "audit.jsonl").read_text().splitlines()
        return [o for o in map(json.loads, text) if event in (None, o["event"])]

    def states(self):
        return {s["neighbor"]: s["state"] for s in self.run("status").json["sessions"]}
