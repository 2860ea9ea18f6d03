"""What deploy/, the Dockerfile and their docs say is so of this program, and of each other."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from typer.main import get_command

from server.cli import app
from server.doctor import _NOT_SETTINGS
from server.routes.system import router
from server.settings import Settings

ROOT = Path(__file__).parent.parent
DEPLOY, COMPOSE, KUBERNETES = ROOT / "deploy", ROOT / "deploy" / "compose", ROOT / "deploy" / "kubernetes"
UNIT = DEPLOY / "systemd" / "apprentice.service"
TEXTS = sorted(
    path
    for path in (*DEPLOY.rglob("*"), ROOT / "Dockerfile", ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    if path.is_file()
)
Yaml = dict[str, Any]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def instructions(word: str) -> list[str]:
    """Arguments of every instruction of the Dockerfile with this name, lines joined."""
    lines = re.sub(r"^\s*#.*\n", "", read(ROOT / "Dockerfile"), flags=re.MULTILINE).replace("\\\n", " ")
    return [" ".join(line.split()) for line in re.findall(rf"^{word} (.*)$", lines, re.MULTILINE)]


def variables() -> dict[str, str]:
    """What the image sets."""
    return dict(re.findall(r"([A-Z_]+)=(\S+)", " ".join(instructions("ENV"))))


def arguments() -> dict[str, str]:
    """What the build takes, with defaults."""
    return dict(line.partition("=")[::2] for line in instructions("ARG"))


def compose() -> Yaml:
    loaded: Yaml = yaml.safe_load(read(COMPOSE / "compose.yaml"))
    return loaded


def manifests(folder: str) -> list[Yaml]:
    """What a kustomization comes to, by kubectl."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on this machine")
    command = ["kubectl", "kustomize", str(KUBERNETES / folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(kind: str, found: list[Yaml]) -> Yaml:
    (one,) = (manifest for manifest in found if manifest["kind"] == kind)
    return one


def deployment() -> Yaml:
    loaded: Yaml = yaml.safe_load(read(KUBERNETES / "base" / "deployment.yaml"))
    return loaded


def containers(pods: Yaml) -> list[Yaml]:
    spec = pods["spec"]["template"]["spec"]
    return [*spec["initContainers"], *spec["containers"]]


def secret_names() -> set[str]:
    """Files and keys of secrets that settings are read from."""
    found = {one["target"] for one in compose()["x-server"]["secrets"]}
    found |= set(re.findall(r"LoadCredential=(\w+):", read(UNIT)))
    for manifest in yaml.safe_load_all(read(KUBERNETES / "secret.example.yaml")):
        found |= {name for name in manifest["stringData"] if name.islower()}
    return found


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_variable_named_is_a_setting(path: Path) -> None:
    """Misspelt ones would be ignored without a word."""
    named = set(re.findall(r"\bAPPRENTICE_[A-Z_]*[A-Z]\b", read(path)))
    assert named <= {f"APPRENTICE_{name.upper()}" for name in Settings.model_fields} | _NOT_SETTINGS


def test_every_secret_is_a_setting() -> None:
    """By the names that the settings are found under in a folder."""
    assert {"apprentice_memory_url", "apprentice_jobs_url"} <= secret_names()
    assert secret_names() <= {f"apprentice_{name}" for name in Settings.model_fields}


def test_every_command_run_exists() -> None:
    """By the image, by compose, by pods, by the unit."""
    run = {json.loads(line)[0] for line in instructions("CMD")}
    ours = [one for one in compose()["services"].values() if one["image"] == compose()["x-server"]["image"]]
    assert len(ours) == 2
    run |= {one["command"][0] for one in ours if "command" in one}
    run |= {one["args"][0] for one in containers(deployment()) if "args" in one}
    run |= set(re.findall(r"^ExecStart\w*=\S+/apprentice (\w+)", read(UNIT), re.MULTILINE))
    assert {"serve", "migrate"} <= run
    assert run <= set(get_command(app).commands)  # type: ignore[attr-defined]  # a click group
    (entry,) = instructions("ENTRYPOINT")
    scripts = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["scripts"]
    assert json.loads(entry)[-1] in scripts


def test_one_port_one_folder_one_user() -> None:
    """Of the image, the proxy, the pods, the service: what one opens the next one asks."""
    told = variables()
    port, (user,) = told["APPRENTICE_PORT"], instructions("USER")
    assert instructions("EXPOSE") == [port]
    assert re.findall(r"dynamic a (\w+) (\d+)", read(COMPOSE / "Caddyfile")) == [("server", port)]
    (published,) = compose()["services"]["proxy"]["ports"]
    assert published.endswith(f":{port}")
    assert f"{{$SITE::{port}}}" in read(COMPOSE / "Caddyfile")
    (server,) = deployment()["spec"]["template"]["spec"]["containers"]
    assert [str(one["containerPort"]) for one in server["ports"]] == [port]
    service = yaml.safe_load(read(KUBERNETES / "base" / "service.yaml"))
    assert [str(one["port"]) for one in service["spec"]["ports"]] == [port]
    folder = told["APPRENTICE_DATA_DIR"]
    assert instructions("VOLUME") == [folder]
    assert f"data:{folder}" in compose()["x-server"]["volumes"]
    assert f"data:{folder}:ro" in compose()["services"]["vllm"]["volumes"]
    assert all(
        folder in {one["mountPath"] for one in each["volumeMounts"]} for each in containers(deployment())
    )
    security = deployment()["spec"]["template"]["spec"]["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == user
    assert str(security["fsGroup"]) == user.partition(":")[2]
    # Another host than this one may call, so nobody may without a key.
    assert told["APPRENTICE_HOST"] == "0.0.0.0"
    assert Settings().auth_required


def test_secrets_are_read_where_they_lie() -> None:
    """The folder that the settings name is the one that is mounted."""
    assert compose()["x-server"]["environment"]["APPRENTICE_SECRETS_DIR"] == "/run/secrets"
    settings = dict(
        line.split("=", 1) for line in read(KUBERNETES / "base" / "settings.env").splitlines() if "=" in line
    )
    for one in containers(deployment()):
        mounted = {mount["name"]: mount["mountPath"] for mount in one["volumeMounts"]}
        assert mounted["secrets"] == settings["APPRENTICE_SECRETS_DIR"]


class Asked(HTTPServer):
    """Answers 200 and keeps the paths."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.paths: list[str] = []


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Asked)
        self.server.paths.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def asked() -> Iterator[Asked]:
    with Asked() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_health_check_tells_the_living_from_the_dead(asked: Asked) -> None:
    """As the image runs it, on the port that the settings name."""
    (line,) = instructions("HEALTHCHECK")
    command = [sys.executable, *json.loads(line[line.index("[") :])[1:]]
    paths = {route.path for route in router.routes}  # type: ignore[attr-defined]  # all are of FastAPI
    env = {**os.environ, "APPRENTICE_PORT": str(asked.server_port)}
    assert subprocess.run(command, env=env, timeout=30).returncode == 0
    assert asked.paths == ["/health/live"]
    assert "/health/live" in paths
    env["APPRENTICE_PORT"] = "1"
    assert subprocess.run(command, env=env, timeout=30, stderr=subprocess.DEVNULL).returncode != 0


def test_probes_ask_for_routes() -> None:
    """Of the server, by the name of its port."""
    paths = {route.path for route in router.routes}  # type: ignore[attr-defined]  # all are of FastAPI
    (server,) = deployment()["spec"]["template"]["spec"]["containers"]
    asked = {server[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert asked == {"/health/ready", "/health/live"}
    assert asked <= paths
    assert server["livenessProbe"]["httpGet"]["path"] == "/health/live"


def test_the_image_installs_what_runs_here() -> None:
    """The version of torch that was tried, for processors, first and alone; the rest by the constraints."""
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", read(ROOT / "constraints.txt"), re.MULTILINE))
    assert arguments()["TORCH"] == f"{pinned['torch']}+cpu"
    assert compose()["x-server"]["build"]["args"]["TORCH"] == f"${{TORCH:-{pinned['torch']}+cpu}}"
    assert f'"torch=={pinned["torch"]}"' in read(ROOT / "Makefile")
    installs = [line for line in instructions("RUN") if "pip install" in line]
    assert '"torch==${TORCH}"' in installs[0]
    assert '".[${EXTRAS}]"' in installs[1]
    assert all("--constraint constraints.txt" in line for line in installs)
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    assert set(arguments()["EXTRAS"].split(",")) <= set(project["optional-dependencies"])
    assert "postgres" in arguments()["EXTRAS"]
    least = project["requires-python"].removeprefix(">=")
    assert all(line.startswith(f"python:{least}-") for line in instructions("FROM"))


def test_the_image_is_given_what_it_copies_and_no_more() -> None:
    """What is copied is let in, what the wheel is made of is copied, nothing else is let in."""
    lines = [line for line in read(ROOT / ".dockerignore").splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        word for line in instructions("COPY") if not line.startswith("--from") for word in line.split()[:-1]
    }
    project = tomllib.loads(read(ROOT / "pyproject.toml"))
    needed = {
        *project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
        project["project"]["readme"],
    }
    assert copied == let_in
    assert needed <= copied
    assert all((ROOT / name).exists() for name in copied)
    left_out = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    shipped = subprocess.run(
        ["git", "ls-files", *needed], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [
        name
        for name in shipped.stdout.split()
        if any(fnmatchcase(part, out) for part in Path(name).parts for out in left_out)
    ] == []


def test_images_go_by_their_short_names() -> None:
    """A registry is the choice of who runs them."""
    named = [line.split()[0] for line in instructions("FROM")]
    named += [one["image"] for one in compose()["services"].values()]
    named += [one["image"] for one in containers(deployment())]
    assert named
    assert [name for name in named if "." in name.split("/")[0].split(":")[0]] == []
    assert "://" not in read(ROOT / "Dockerfile").replace("http://127.0.0.1", "")


def test_the_compose_file_holds_together() -> None:
    """What a service names is there; all are bounded; only the proxy can be reached; none may rise."""
    file = compose()
    services = file["services"]
    assert services["server"]["deploy"]["replicas"] == 2
    for name, one in services.items():
        assert set(one.get("depends_on", {})) <= set(services), name
        assert set(one["networks"]) <= set(file["networks"]), name
        sources = {
            secret if isinstance(secret, str) else secret["source"] for secret in one.get("secrets", ())
        }
        assert sources <= set(file["secrets"]), name
        volumes = {volume.split(":")[0] for volume in one["volumes"] if re.match(r"[a-z]+:", volume)}
        assert volumes <= set(file["volumes"]), name
        assert "no-new-privileges:true" in one["security_opt"], name
        assert ("ports" in one) == (name == "proxy")
        assert name == "migrate" or "memory" in one["deploy"]["resources"]["limits"], name
    for name in ("server", "migrate", "proxy"):
        assert services[name]["read_only"]
        assert services[name]["cap_drop"] == ["ALL"]
    assert file["networks"]["back"] == {"internal": True}
    assert services["server"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    # Kept by a proxy, events would come late; with this, a server would not see that its client has left.
    assert "flush_interval" not in re.sub(r"#.*", "", read(COMPOSE / "Caddyfile"))


def test_both_files_of_compose_name_one_proxy() -> None:
    """The second adds to the first."""
    second = yaml.safe_load(read(COMPOSE / "compose.https.yaml"))
    assert set(second["services"]) <= set(compose()["services"])


def test_secrets_are_made_once_and_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Database and servers are told one password; a second run, which would lock them out, is refused."""
    shutil.copy(COMPOSE / "secrets.sh", tmp_path)
    command = ["sh", str(tmp_path / "secrets.sh")]
    made = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert made.returncode == 0, made.stderr
    secrets = tmp_path / "secrets"
    declared = compose()["secrets"]
    assert {f"secrets/{path.name}" for path in secrets.iterdir()} == {
        one["file"] for one in declared.values()
    }
    assert secrets.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o044 for path in secrets.iterdir())
    password, url = read(secrets / "postgres_password"), urlsplit(read(secrets / "database_url"))
    assert re.fullmatch(r"[0-9a-f]{48}", password)
    postgres = compose()["services"]["postgres"]["environment"]
    assert (url.password, url.username) == (password, postgres["POSTGRES_USER"])
    assert (url.hostname, url.path) == ("postgres", "/" + postgres["POSTGRES_DB"])
    assert password not in made.stdout + made.stderr
    assert subprocess.run(command, capture_output=True, timeout=30).returncode == 1
    ignored = read(COMPOSE / ".gitignore").splitlines()
    assert {"/secrets/", "/server.env", "/.env"} <= set(ignored)
    assert read(secrets / "postgres_password") == password
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    for one in compose()["x-server"]["secrets"]:
        shutil.copy(tmp_path / declared[one["source"]]["file"], mounted / one["target"])
    monkeypatch.setenv("APPRENTICE_SECRETS_DIR", str(mounted))
    settings = Settings()
    assert settings.memory_url is not None
    assert settings.jobs_url == settings.memory_url
    assert settings.memory_url.get_secret_value() == url.geturl()


@pytest.mark.parametrize("folder", ["base", "replicas"])
def test_manifests_mean_the_pods_they_should(folder: str) -> None:
    """One set of labels, every mount has its volume, each container is closed in and bounded."""
    found = manifests(folder)
    pods = of_kind("Deployment", found)
    labels = pods["spec"]["template"]["metadata"]["labels"]
    assert pods["spec"]["selector"]["matchLabels"] == labels
    assert of_kind("Service", found)["spec"]["selector"] == labels
    assert of_kind("NetworkPolicy", found)["spec"]["podSelector"] == {"matchLabels": labels}
    spec = pods["spec"]["template"]["spec"]
    volumes = {one["name"]: one for one in spec["volumes"]}
    claim = of_kind("PersistentVolumeClaim", found)
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    configured = of_kind("ConfigMap", found)["metadata"]["name"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert len({one["image"] for one in containers(pods)}) == 1
    for one in containers(pods):
        assert {mount["name"] for mount in one["volumeMounts"]} <= set(volumes)
        assert {"configMapRef": {"name": configured}} in one["envFrom"]
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert "memory" in one["resources"]["limits"]


def test_several_pods_share_what_one_alone_keeps() -> None:
    """Memory and jobs in a database that must be named, a folder that all can write, no index in it."""
    alone, several = manifests("base"), manifests("replicas")
    assert of_kind("Deployment", alone)["spec"]["replicas"] == 1
    assert of_kind("PersistentVolumeClaim", alone)["spec"]["accessModes"] == ["ReadWriteOnce"]
    pods = of_kind("Deployment", several)["spec"]
    assert pods["replicas"] >= 2
    assert of_kind("PersistentVolumeClaim", several)["spec"]["accessModes"] == ["ReadWriteMany"]
    (secret,) = (one["secret"] for one in pods["template"]["spec"]["volumes"] if "secret" in one)
    assert not secret["optional"]
    assert of_kind("ConfigMap", several)["data"]["APPRENTICE_MEMORY_INDEX"] == "pgvector"
    assert compose()["x-server"]["environment"]["APPRENTICE_MEMORY_INDEX"] == "pgvector"
    # Releases do not mix.
    assert pods["strategy"] == {"type": "Recreate"}
    budget = of_kind("PodDisruptionBudget", several)["spec"]
    assert budget["selector"] == pods["selector"]
    assert budget["maxUnavailable"] == 1


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """As it stands and with its secrets; closed in no less than docs/deploy.md says."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    # The program is not installed here.
    text = read(UNIT).replace("/opt/apprentice/bin/apprentice", sys.executable)
    told = re.search(r"`systemd-analyze security` says ([\d.]+)", read(ROOT / "docs" / "deploy.md"))
    assert told is not None
    for name, body in (
        ("plain", text),
        ("secrets", re.sub(r"^#(Load|Env)", r"\1", text, flags=re.MULTILINE)),
    ):
        path = tmp_path / f"{name}.service"
        path.write_text(body, "utf-8")
        done = subprocess.run(
            ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, ""), name
        threshold = round(float(told[1]) * 10)
        command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={threshold}", str(path)]
        rated = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert rated.returncode == 0, rated.stdout[-200:]
