# SPDX-License-Identifier: Apache-2.0
"""Lines of the documents that a shell runs, given to one in a folder with what they name."""

import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.runners import SHELL, runner
from tests.docs.test_commands import PAGES, ROOT, blocks, commands
from tests.tools.commands import environment

URL = 'URL_OF_THIS_REPOSITORY'
BY_SET_UP = ('make ', 'scripts/setup')
"""Lines that begin so may install something."""
KEYSTORE = """
mkdir -p ~/keys/enclaves ~/keys/public ~/keys/private
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=made \
  -keyout ~/keys/private/permissions_ca.key.pem -out ~/keys/public/permissions_ca.cert.pem
"""
"""What `ros2 security create_keystore` leaves, as far as the lines after it need it."""


def scripts() -> Iterator[tuple[str, str]]:
    """The lines of each block all of whose commands are for this test, with their page."""
    for path in PAGES:
        page = str(path.relative_to(ROOT))
        for block in blocks(path):
            kept = []
            for line in block.replace('\\\n', ' ').splitlines():
                found = [runner(page, words) for words in commands(line)]
                if found and set(found) == {SHELL}:
                    kept.append(line.partition(' #')[0].strip())
            yield from ((page, line) for line in kept if line.startswith(BY_SET_UP))
            if together := '\n'.join(line for line in kept if not line.startswith(BY_SET_UP)):
                yield page, together


SCRIPTS = sorted((script, page) for script, page in {it[1]: it[0] for it in scripts()}.items())


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder in which they find what they name."""
    for path in ROOT.iterdir():
        if path.name not in ('.git', 'out', 'security'):
            (tmp_path / path.name).symlink_to(path)
    shutil.copytree(ROOT / 'security', tmp_path / 'security')
    return tmp_path


def run(script: str, directory: Path, home: Path) -> str:
    """Run it as a new shell would; return what it printed, and then what it has set."""
    # another owner's clone may be cloned: in a container the files are not root's
    config = home / 'gitconfig'
    config.write_text('[safe]\n\tdirectory = *\n')
    done = subprocess.run(
        ['bash', '-euc', f'{script}\npwd\nexport -p'],
        cwd=directory,
        env=environment() | {'HOME': str(home), 'GIT_CONFIG_GLOBAL': str(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f'{script}\n{done.stdout}{done.stderr}'
    return done.stdout


def is_set_up(level: str) -> bool:
    """Whether scripts/setup would have nothing to do; a test installs nothing."""
    script = runpy.run_path(str(ROOT / 'scripts/setup'))
    locks = script['LEVELS'][level][script['installed']('rclpy') is not None]
    done = script['read_stamp'](script['ENVIRONMENT_STAMP'])
    built = script['read_stamp'](script['BUILD_STAMP']).get('sources')
    wanted = (script['digest']([ROOT / f'requirements/{lock}.txt']) for lock in locks)
    installed = all(done.get(lock) == found for lock, found in zip(locks, wanted, strict=True))
    return installed and built == script['build_digest']()


@pytest.mark.parametrize(
    'command', [script for script, _ in SCRIPTS if script.startswith(BY_SET_UP)]
)
def test_the_second_set_up_does_nothing(command: str, tmp_path: Path) -> None:
    program, *words = command.split()
    level = words[0] if program == 'scripts/setup' and words else 'runtime'
    if not is_set_up(level):
        pytest.skip(f'would install: scripts/setup {level}')
    # in whole it is in tests/tools/test_demo.py, and in each push
    short = " ARGS='--help'" if program == 'make' else ''
    printed = run(command + short, ROOT, tmp_path)
    assert 'requirements' not in printed


@pytest.mark.parametrize(
    ('script', 'page'), [it for it in SCRIPTS if not it[0].startswith(BY_SET_UP)]
)
def test_a_shell_runs_it(page: str, script: str, clone: Path, tmp_path: Path) -> None:
    home = tmp_path / 'home'
    home.mkdir()
    if URL in script:
        if not (ROOT / '.git').exists():
            pytest.skip('this is no clone')
        printed = run(script.replace(URL, str(ROOT)), clone, home)
        assert f'{clone}/mtl_split\n' in printed
        assert (clone / 'mtl_split/README.md').is_file()
        return
    if '~/keys/' in script:
        script = KEYSTORE + script
    printed = run(script, clone / 'security' if page.startswith('security') else clone, home)
    if 'governance.p7s' in script:
        assert '<id>0</id>' not in (home / 'keys/enclaves/governance.xml').read_text()
        assert 'x-pkcs7-signature' in (home / 'keys/enclaves/governance.p7s').read_text()
    if 'policy_front.xml' in script:
        assert 'path="/front/' in (clone / 'security/policy_front.xml').read_text()
    for line in script.splitlines():
        for name, value in re.findall(r'([A-Z_]+)=(\S+)', line if 'export ' in line else ''):
            text = value.strip('"').replace('~', str(home))
            assert f'{name}="{text}"' in printed
