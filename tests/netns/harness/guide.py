# SPDX-License-Identifier: Apache-2.0
"""The guides of docs/, as something to be carried out.

A comment before an indented block says who runs it, or which file it is:

    <!-- run on A and B -->                     each line is a command; a failure fails the guide
    <!-- run on A until "Established" -->       again and again, until its output matches
    <!-- back on A -->                          the way back of this section
    <!-- file on B: /etc/botls/botlsd.conf -->
"""

import concurrent.futures
import dataclasses
import re
import textwrap

from .botlsd import REPOSITORY
from .package import Packaged, packages
from .wait import SLOW, wait_until

MARK = re.compile(r'<!-- (run|back|file) on (\w(?:, \w)*(?: and \w)?)(?: until "(.*)")?(?:: (\S+))? -->')


@dataclasses.dataclass
class Block:
    kind: str
    places: list
    until: str
    path: str
    text: str


def sections(name):
    """[(title, [Block])] of docs/NAME."""
    found, block, mark = [("", [])], [], None

    def finish():
        if mark and block:
            text = textwrap.dedent("\n".join(block)).strip() + "\n"
            found[-1][1].append(Block(mark[1], re.findall(r"\b\w\b", mark[2]), mark[3], mark[4], text))

    for line in (REPOSITORY / "docs" / name).read_text().splitlines() + ["end"]:
        if line.startswith("    ") or block and not line:
            block.append(line)
            continue
        if block:
            finish()
            block, mark = [], None
        if line.startswith("## "):
            found.append((line[3:], []))
        assert not line.startswith("<!--") or MARK.fullmatch(line), line
        mark = MARK.fullmatch(line) or (mark if not line else None)
    return found


class Reader:
    """Does what a guide says. `places` {letter: Container}, `words` {what the guide writes: what is meant}."""

    def __init__(self, places, words=None):
        self.places = places
        self.words = words if words is not None else {}
        self.commands = 0

    def do(self, blocks, kinds=("run", "file")):
        for block in blocks:
            if block.kind in kinds:
                with concurrent.futures.ThreadPoolExecutor() as pool:
                    list(pool.map(lambda place, block=block: self._do(place, block), block.places))

    def _do(self, place, block):
        text = block.text
        for word, meaning in self.words.items():
            text = text.replace(word, meaning)
        if block.path:
            self.places[place].write(block.path, text)
        elif block.until:
            wait_until(lambda: re.search(block.until, self._run(place, text).stdout), 60, f"{place}: {text}says {block.until}")
        else:
            result = self._run(place, text)
            assert result.returncode == 0, f"{place}: {text}{result.stdout}{result.stderr}"
            # What a guide has to be told: the pin that botls-pki prints.
            for pin in re.findall(r"(?m)^sha256/\S+$", result.stdout):
                self.words[f"PIN-OF-{place}"] = pin
        self.commands += len(text.splitlines())

    def _run(self, place, text):
        return self.places[place].run("sh", "-ec", f"cd /root\n{text}", check=False, timeout=120 * SLOW)


BIRD = """
log syslog all;
debug protocols {{ states }};
router id {own};
protocol device {{ }}
protocol static {{ ipv4; route 10.{n}.0.0/16 blackhole; }}
protocol bgp {name} {{
  local {own} as {asn};
  neighbor {peer} as {peer_as};
  connect retry time 2; connect delay time 1; error wait time 1, 3;
  ipv4 {{ import all; export all; }};
}}
"""


class Network:
    """Routers as a reader has them: systemd, the packages in root's folder, no botls yet."""

    def __init__(self, lab, routers):
        self.routers = {letter: Packaged(router, {}, None) for letter, router in zip("ABCD", routers)}
        self.capture = lab.capture(routers[0])
        built = packages()
        for router in self.routers.values():
            for path in built.files.values():
                if path.name.startswith("botls_"):
                    router.container.put(path, f"root/{path.name}")
        self.containers = {letter: router.container for letter, router in self.routers.items()}

    def boot(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(Packaged.boot, self.routers.values()))
        return self


def is_established(container):
    return "Established" in container.run("birdc", "show", "protocols").stdout
