"""The checks of run.sh, on the copy of the project in $WORK/clone. Each prints a line; the last one is their total.

Nothing here sleeps for a guessed time: what is waited for is looked at again and again, until a deadline.
"""

import contextlib
import http.server
import json
import os
import pty
import re
import secrets
import select
import shlex
import socket
import subprocess
import sys
import threading
import time
import urllib.request

WORK = os.environ["WORK"]
CLONE = os.path.join(WORK, "clone")
COMPOSE = shlex.split(os.environ["COMPOSE"])
IMAGE = "stenogram:test"
# What an owner has, and with the Telegram, which is not to stop where the owner stops all that is there.
OWNERS_FILES = "docker-compose.yml:tests/docker/compose.yml"
os.environ["COMPOSE_FILE"] = f"{OWNERS_FILES}:tests/docker/telegram.yml"

# Planted, and looked for at the end in everything that others may read.
API_HASH = secrets.token_hex(16)
PASSWORD_CORE = "Red1s" + secrets.token_hex(8)
# Everything that shells, dotenv, compose and redis.conf could stumble over, but the single quote.
PASSWORD = f'a b$HOME"\\#{PASSWORD_CORE}'
PHONE = "+4915198765432"
CODE, SECOND_PASSWORD = "12345", "hunter2"

FRIEND, SECOND_FRIEND = 2000, 2001
# As talkative as it gets; see tests/secrets.rs.
VERBOSE = "trace,grammers=trace,redis=trace,tokio=trace,whisper=trace,hyper=trace,ureq=trace,symphonia=trace"
MODEL = "/fixtures/ggml-micro-q8_0.bin"

passed = failed = 0


def check(what, holds, why=""):
    """Prints the verdict; returns it."""
    global passed, failed
    if holds:
        passed += 1
        print(f"ok    {what}", flush=True)
    else:
        failed += 1
        print(f"FAIL  {what}" + (f": {why}" if why != "" else ""), flush=True)
    return bool(holds)


class Abandoned(Exception):
    """Without this the rest cannot be checked."""


def need(what, holds, why=""):
    if not check(what, holds, why):
        raise Abandoned(what)


def note(text):
    print(f"      {text}", flush=True)


def call(command, timeout=120, stdin=None, **more):
    """Runs a command; (status, standard output, standard error)."""
    done = subprocess.run(
        command, cwd=CLONE, input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout,
        **({} if stdin is not None else {"stdin": subprocess.DEVNULL}), **more,
    )
    return done.returncode, done.stdout, done.stderr


def docker(*arguments, **more):
    status, out, error = call(["docker", *arguments], **more)
    if status:
        raise RuntimeError(f"docker {shlex.join(arguments)}: {status}: {error}{out}")
    return out


def compose(*arguments, timeout=180, **more):
    return call([*COMPOSE, *arguments], timeout=timeout, **more)


def up(*more):
    status, out, error = compose("up", "-d", *more, timeout=1800)
    if status:
        raise RuntimeError(f"up: {status}: {error}{out}")


def wait(seconds, holds, every=0.2):
    """Waits until `holds()` gives something; that, or what it gave last."""
    deadline = time.monotonic() + seconds
    while True:
        found = holds()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(every)


def container(service):
    # Version 2 lists what has ended only with -a.
    status, out, error = compose("ps", "-a", "-q", service)
    names = out.split()
    if status or not names:
        raise RuntimeError(f"no container of {service}: {error}")
    return names[0]


def look(service, template):
    return docker("inspect", "-f", template, container(service)).strip()


def health():
    return look("userbot", "{{.State.Health.Status}}")


def restarts():
    return int(look("userbot", "{{.RestartCount}}"))


def logs(service="userbot"):
    done = subprocess.run(["docker", "logs", container(service)], capture_output=True, text=True, errors="replace")
    return done.stdout + done.stderr


kept_logs = []


def keep_logs():
    """Before containers go: what they have logged."""
    kept_logs.extend(logs(service) for service in ("setup", "userbot", "redis"))


def logged(text, seconds=60, after=0):
    """Waits until the daemon's container has logged `text`; whether it did."""
    return wait(seconds, lambda: text in logs()[after:])


def event(name, log):
    """Whether a line of `log` reports this event; docs/OPERATING.md lists them."""
    return f' event="{name}"' in log


def logged_event(name, seconds=60, after=0):
    """Waits until the daemon has logged the event; whether it did."""
    return wait(seconds, lambda: event(name, logs()[after:]))


def inside(service, script, user=None):
    """A shell's lines in a running container."""
    return call(["docker", "exec", *(["-u", user] if user else []), container(service), "sh", "-c", script])


def address(service, network):
    networks = json.loads(look(service, "{{json .NetworkSettings.Networks}}"))
    (found,) = [net["IPAddress"] for name, net in networks.items() if name.endswith("_" + network)]
    return found


class Telegram:
    """The loopback Telegram, obeying lines of JSON."""

    def __init__(self):
        (self.ready,) = [
            json.loads(line)
            for line in wait(60, lambda: [line for line in logs("telegram").splitlines() if '"ready"' in line])
        ]
        self.stream = socket.create_connection((address("telegram", "internet"), 4432)).makefile("rw")

    def say(self, **command):
        self.stream.write(json.dumps(command) + "\n")
        self.stream.flush()
        answer = json.loads(self.stream.readline())
        if not answer["ok"]:
            raise RuntimeError(f"{command}: {answer}")
        return answer

    def posts(self):
        return self.say(do="posts", chat=None)["posts"]

    def session(self):
        """A session that knows the way here, with nobody logged in."""
        return json.dumps({"version": 1, "home_dc": self.ready["home_dc"], "user": None, "dcs": self.ready["dcs"]})


class Messages:
    """Voice messages that were sent, and what is to be answered."""

    def __init__(self, telegram):
        self.telegram = telegram
        self.sent = {}  # (chat, message): text
        with open(os.path.join(CLONE, "tests/fixtures/voices/voices.tsv")) as table:
            rows = [line.rstrip("\n").split("\t") for line in table if not line.startswith("#")]
        # One language a chat, as people do.
        self.voices = [(FRIEND if row[2] == "en" else SECOND_FRIEND, *row) for row in rows]

    def send(self, times):
        """Each voice so many times; the new messages."""
        new = []
        for _ in range(times):
            for chat, file, seconds, _language, text in self.voices:
                answer = self.telegram.say(do="voice", chat=chat, file=f"/voices/{file}", seconds=int(seconds))
                new.append((chat, answer["message"]))
                self.sent[new[-1]] = text
        return new

    def replies(self):
        """The texts of the answers to each message."""
        found = {message: [] for message in self.sent}
        for post in self.telegram.posts():
            if post["random_id"] is not None:
                found.setdefault((post["chat"], post["reply_to"]), []).append(post["text"])
        return found

    def answered(self, messages):
        replies = self.replies()
        return sum(bool(replies[message]) for message in messages)

    def check(self, what, messages, seconds=180):
        """Every one of them is answered, and all that were ever sent are answered once and rightly."""
        wait(seconds, lambda: self.answered(messages) == len(messages))
        replies = self.replies()
        missing = [message for message in messages if not replies[message]]
        twice = [message for message, texts in replies.items() if len(texts) > 1]
        wrong = [
            (self.sent.get(message), texts) for message, texts in replies.items()
            if texts and texts[0] != self.sent.get(message)
        ]
        check(f"{what}: {len(messages)} messages answered", not missing, f"{len(missing)} are not: {missing}")
        check(f"{what}: none answered twice", not twice, twice)
        check(f"{what}: all word for word", not wrong, wrong)


def settings(**values):
    """Writes .env: the example, with these values."""
    with open(os.path.join(CLONE, ".env.example")) as example:
        text = example.read()
    for name, value in values.items():
        line = f"{name}={value}"
        text, found = re.subn(rf"(?m)^#?{name}=.*$", lambda _: line, text)
        if not found:
            text += line + "\n"
    # As an editor that writes a new file in place of the old one.
    path = os.path.join(CLONE, ".env")
    with open(path + ".new", "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    os.replace(path + ".new", path)


def documented(page, section, home=""):
    """The commands of a page: the first block of a section, or the one for this home."""
    with open(os.path.join(CLONE, page)) as file:
        text = file.read()
    _, _, after = text.partition(f"\n{section}\n")
    _, _, after = after.partition(f"\n{home}:\n") if home else ("", "", after)
    block = re.search(r"(?s)```sh\n(.*?)```", after)
    if not block:
        raise RuntimeError(f"{page}, {section!r}: no commands for {home!r}")
    return [line.split(" # ")[0].rstrip() for line in block[1].splitlines()]


def typed(commands, **more):
    """What an owner types, in one shell; (status, all that was said)."""
    script = "\n".join(["set -e", *commands]).replace("docker-compose ", shlex.join(COMPOSE) + " ")
    status, out, error = call(["bash", "-c", script], timeout=600, env={**os.environ, "COMPOSE_FILE": OWNERS_FILES, **more})
    return status, out + error


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


STATUS_PORT = free_port()
GOOD = {
    "API_ID": "12345", "API_HASH": API_HASH, "REDIS_PASSWORD": f"'{PASSWORD}'", "MODEL": MODEL,
    "REDIS_HOST": "localhost", "LOG_LEVEL": VERBOSE, "RECONNECT_DELAY": "1", "USERBOT_PORT": str(STATUS_PORT),
    # More is sent here in a minute than a person would send in a day.
    "SENDS_PER_MINUTE": "100000", "SENDS_PER_DAY": "100000", "CHAT_PER_HOUR": "off", "CHAT_PER_DAY": "off", "LOOP_AFTER": "0",
}


def the_context():
    """What the builder is given: nothing that .dockerignore should keep out."""
    for secret in [".env", ".env.bak", "src/.env", "data/account.session", "src/account.session", "models/ggml-x.bin", "ggml-y.bin"]:
        path = os.path.join(CLONE, secret)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write("planted")
    # The engine itself applies the file; an image shows what arrived.
    docker("build", "-q", "-t", "stenogram:context", "-f-", ".", stdin="FROM debian:bookworm-slim\nCOPY . /context\n", timeout=300)
    try:
        listed = docker("run", "--rm", "--network", "none", "stenogram:context", "find", "/context", "-type", "f").split()
    finally:
        docker("image", "rm", "-f", "stenogram:context")
    given = sorted(name.removeprefix("/context/") for name in listed)
    odd = [
        name for name in given
        if not re.fullmatch(r"Cargo\.(toml|lock)|\.cargo/.*|src/.*|scripts/(docker-[a-z]+|third-party)\.sh|tests/[a-z-]+/Cargo\.toml", name)
        or re.search(r"\.env|\.session$|\.bin$", name)
    ]
    check("build context: sources alone, no .env, session, model, .git or target", given and not odd, odd)
    os.remove(os.path.join(CLONE, "src/.env"))
    os.remove(os.path.join(CLONE, "src/account.session"))
    os.remove(os.path.join(CLONE, ".env"))


def build():
    start = time.monotonic()
    with open(os.path.join(WORK, "build.log"), "w") as log:
        done = subprocess.run([*COMPOSE, "build", "userbot"], cwd=CLONE, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    if done.returncode:
        with open(os.path.join(WORK, "build.log"), errors="replace") as log:
            print(log.read()[-4000:])
    need(f"the image builds ({time.monotonic() - start:.0f} s)", done.returncode == 0)


def the_recipe():
    with open(os.path.join(CLONE, "Dockerfile")) as file:
        recipe = file.read()
    with open(os.path.join(CLONE, "docker-compose.yml")) as file:
        images = re.findall(r"image: (\S+:\S+)", file.read())
    images += re.findall(r"^ARG \w+_IMAGE=(\S+)", recipe, re.MULTILINE)
    pinned = [image for image in images if re.fullmatch(r"[\w./-]+:(?!latest$)[\w.-]+", image)]
    check("base images: every one has a tag, none is latest", len(images) == 3 and pinned == images, images)

    # Changed sources, and the recipe up to the layer of the dependencies.
    dependencies, rest = recipe.split("\nCOPY src src\n")
    sources = os.path.join(CLONE, "src/lib.rs")
    with open(sources, "a") as file:
        file.write("// changed\n")
    with open(os.path.join(CLONE, "Dockerfile.dependencies"), "w") as file:
        file.write(dependencies + "\n")
    override = os.path.join(WORK, "dependencies.yml")
    with open(override, "w") as file:
        file.write("services: {userbot: {image: 'stenogram:dependencies', build: {dockerfile: Dockerfile.dependencies}}}\n")
    files = {**os.environ, "COMPOSE_FILE": f"{os.environ['COMPOSE_FILE']}:{override}"}
    status, out, error = call([*COMPOSE, "build", "userbot"], timeout=1200, env=files)
    check("a change of the sources leaves the layer of the dependencies as it is",
          status == 0 and "docker-build.sh" in rest and "Compiling" not in out + error, (status, (out + error)[-2000:]))
    call(["docker", "image", "rm", "-f", "stenogram:dependencies"])
    os.remove(os.path.join(CLONE, "Dockerfile.dependencies"))
    with open(sources, "r+") as file:
        file.truncate(os.path.getsize(sources) - len("// changed\n"))

    stub = os.path.join(WORK, "stub")
    os.mkdir(stub)
    with open(os.path.join(stub, "cargo"), "w") as file:
        file.write("#!/bin/sh\necho native $GGML_NATIVE, avx2 $GGML_AVX2\n")
    os.chmod(file.name, 0o755)
    for native, says in [("", "native OFF, avx2 ON"), ("1", "native ON, avx2")]:
        script = {**os.environ, "NATIVE": native, "PATH": f"{stub}:{os.environ['PATH']}"}
        said = call(["sh", "scripts/docker-build.sh"], env=script)[1].strip()
        check(f"NATIVE={native}: whisper.cpp is built with {says}", said == says, said)


def the_image():
    size = int(docker("image", "inspect", "-f", "{{.Size}}", IMAGE)) / 1e6
    check(f"image of {size:.1f} MB, at most 120", size <= 120)
    config = json.loads(docker("image", "inspect", "-f", "{{json .Config}}", IMAGE))
    check("image: user is the number 10001", config["User"] == "10001:10001", config["User"])
    test = config["Healthcheck"]["Test"]
    check("image: health check is `stenogram health`, with a start period",
          test == ["CMD", "stenogram", "health"] and config["Healthcheck"].get("StartPeriod", 0) > 0, config["Healthcheck"])
    check("image: volumes for data, models and logs", set(config["Volumes"]) == {"/data", "/models", "/logs"}, config["Volumes"])
    run = ["run", "--rm", "--network", "none", "--entrypoint"]
    script = "for tool in gcc cc make cmake cargo curl wget; do command -v $tool; done; ls /etc/ssl/certs/ca-certificates.crt"
    found = call(["docker", *run, "sh", IMAGE, "-c", script])[1].split()
    check("image: CA certificates, and nothing to build with", found == ["/etc/ssl/certs/ca-certificates.crt"], found)
    licences = docker(*run, "cat", IMAGE, "/usr/share/doc/stenogram/THIRD-PARTY.txt")
    check("image: the licences of what is in the program, with their texts",
          all(said in licences for said in ["symphonia-core", "MPL-2.0", "whisper.cpp/LICENSE", "Permission is hereby granted"]),
          licences[:400])
    version = docker(*run, "stenogram", IMAGE, "--version").strip()
    check(f"image: runs ({version})", version.startswith("stenogram "))


def without_env():
    status, out, error = compose("up", "-d", "userbot")
    check("without .env: `up` fails and names the file", status != 0 and ".env" in error + out, (status, error + out))
    compose("down")


def echo_is_off():
    """Whether the terminal of the login's container shows nothing of what is typed."""
    mine = f"label=com.docker.compose.project={os.environ['COMPOSE_PROJECT_NAME']}"
    found = docker("ps", "-q", "--filter", mine, "--filter", "label=com.docker.compose.oneoff=True").split()
    return found and " -echo " in call(["docker", "exec", found[0], "stty", "-a", "-F", "/dev/pts/0"])[1]


LOGIN = "docker-compose run --rm userbot login"


def log_in(command=LOGIN):
    """The login at a terminal, with somebody who types."""
    process, keyboard = pty.fork()
    if process == 0:
        os.chdir(CLONE)
        os.execvp(COMPOSE[0], [*COMPOSE, *command.split()[1:]])
    shown = ""
    answers = [("Phone number", PHONE), ("Code (not shown)", CODE), ("Password of the two-step", SECOND_PASSWORD)]
    deadline = time.monotonic() + 120
    ended = False
    while not ended and time.monotonic() < deadline:
        if select.select([keyboard], [], [], 0.5)[0]:
            try:
                data = os.read(keyboard, 4096)
            except OSError:  # the other side is gone
                data = b""
            ended = not data
            shown += data.decode(errors="replace")
        if answers and answers[0][0] in shown and (answers[0][1] == PHONE or echo_is_off()):
            os.write(keyboard, (answers.pop(0)[1] + "\n").encode())
    if not ended:
        os.kill(process, 9)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(keyboard)
    return status, shown


def put_session(telegram, how=("exec", "-T", "userbot", "sh")):
    """The way to our Telegram is in a session; at home the login makes it."""
    script = "umask 077; cat >/data/account.session.new && mv /data/account.session.new /data/account.session"
    status, _, error = compose(*how, "-c", script, stdin=telegram.session())
    if status:
        raise RuntimeError(f"cannot write the session: {error}")


def without_a_session():
    start = time.monotonic()
    up()
    check("health: starting", health() == "starting", health())
    need("up -d without a login: the container says what to do",
         logged("Beside the compose file type: docker-compose run --rm userbot login"), logs())
    check("without a login: unhealthy is shown", wait(60, lambda: health() == "unhealthy"), health())
    check("without a login: it waits, and is not restarted",
          restarts() == 0 and look("userbot", "{{.State.Status}}") == "running", restarts())
    note(f"{time.monotonic() - start:.0f} s")


def the_login(telegram):
    before = len(logs())
    put_session(telegram)
    check("a session without a user is noticed and waited with", logged("is not logged in", 60, before), logs()[before:])
    said = inside("userbot", "stenogram doctor")[1]
    check("daemon and doctor name the command for it as it is typed here",
          said.count(f"run `{LOGIN}`") == 1 and f"run `{LOGIN}`" in logs() and "`stenogram login`" not in said + logs(), said + logs())
    check("doctor: Telegram was asked about API_ID and API_HASH", "accepts API_ID and API_HASH" in said, said)
    status, shown = log_in()
    need("docker-compose run --rm userbot login: logs in", status == 0 and "Logged in as user 1000" in shown, (status, shown))
    secret = re.findall(r"\(not shown[^)]*\): *([^\r\n]*)", shown)
    check("login: code and password are not shown", secret == ["", ""] and API_HASH not in shown, shown)
    need("after the login the waiting container runs the daemon by itself", logged_event("connected", 90), logs()[-3000:])
    check("health: healthy", wait(60, lambda: health() == "healthy"), health())
    check("it was never restarted", restarts() == 0, restarts())
    mode = inside("userbot", "stat -c '%a %u' /data/account.session")[1].strip()
    check("the session is the daemon's user's alone", mode == "600 10001", mode)


def hardening():
    host = {service: json.loads(look(service, "{{json .HostConfig}}")) for service in ("userbot", "redis", "setup")}
    for service in host:
        config = host[service]
        check(f"{service}: read-only root, no-new-privileges, all capabilities dropped, processes limited",
              config["ReadonlyRootfs"] and config["SecurityOpt"] in (["no-new-privileges:true"], ["no-new-privileges"])
              and config["CapDrop"] == ["ALL"] and 0 < config["PidsLimit"] <= 128, config)
        check(f"{service}: log rotation by size",
              config["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}, config["LogConfig"])
    volumes = [
        mount["Name"] for service in host
        for mount in json.loads(look(service, "{{json .Mounts}}")) if mount["Type"] == "volume"
    ]
    nameless = [name for name in volumes if not name.startswith(os.environ["COMPOSE_PROJECT_NAME"])]
    check("volumes: all have names, none stays behind", volumes and not nameless, nameless)
    memory = sum(config["Memory"] for config in host.values())
    check(f"memory limits of {memory / 2**30:.2f} GiB in all start on 4 GB", all(c["Memory"] for c in host.values()) and memory < 3 * 2**30)
    for service, user in (("userbot", "10001"), ("redis", None)):
        script = "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs):' /proc/1/status; touch /x 2>&1"
        said = inside(service, script)[1]
        fields = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
        uid = fields["Uid"].split()[0]
        check(f"{service}: runs as user {uid}, without capabilities",
              uid not in ("0", "") and uid == (user or uid) and int(fields["CapEff"], 16) == 0 and int(fields["CapBnd"], 16) == 0
              and fields["NoNewPrivs"].strip() == "1", said)
        check(f"{service}: cannot write to its root", "Read-only file system" in said, said)
        check(f"{service}: has an init", look(service, "{{.HostConfig.Init}}") == "true")
    ports = look("redis", "{{json .HostConfig.PortBindings}} {{json .NetworkSettings.Ports}}")
    check("redis: no port published", "HostPort" not in ports, ports)
    networks = json.loads(look("redis", "{{json .NetworkSettings.Networks}}"))
    internal = [docker("network", "inspect", "-f", "{{.Internal}}", name).strip() for name in networks]
    # bash, for its /dev/tcp. A Telegram that the one reaches and the other does not.
    reach = f"timeout 5 bash -c '</dev/tcp/{address('telegram', 'internet')}/4430'"
    check("redis: its one network is internal, and nothing outside is reached from it",
          internal == ["true"] and inside("userbot", reach)[0] == 0 and inside("redis", reach)[0] != 0, internal)
    check("userbot: stop_grace_period of 15 s", look("userbot", "{{.Config.StopTimeout}}") == "15")
    check("userbot and redis are restarted by Docker", {look(s, "{{.HostConfig.RestartPolicy.Name}}") for s in ("userbot", "redis")} == {"unless-stopped"})
    bound = look("userbot", '{{json (index .HostConfig.PortBindings "9464/tcp")}}')
    check("status page: published on the host's loopback alone", f'"HostIp":"127.0.0.1","HostPort":"{STATUS_PORT}"' in bound, bound)
    with contextlib.closing(urllib.request.urlopen(f"http://127.0.0.1:{STATUS_PORT}/", timeout=10)) as page:
        text = page.read().decode()
    check("status page: answers there", "stenogram" in text, text[:200])
    redis = 'REDISCLI_AUTH="$(cat /etc/stenogram/password)" redis-cli'
    said = inside("redis", f"redis-cli ping; {redis} ping; {redis} config get appendfsync; {redis} config get maxmemory-policy")[1]
    check("redis: wants the password, writes through, evicts nothing",
          "NOAUTH" in said and "PONG" in said and "always" in said and "noeviction" in said, said)
    owner = inside("userbot", "stat -c '%a %u' /run/stenogram/env; touch /run/stenogram/x 2>&1")[1]
    check("userbot: its copy of .env is its user's alone and cannot be written to", owner.startswith("600 10001\n") and "Read-only" in owner, owner)
    gone = inside("userbot", "ls /etc/stenogram /run/secrets 2>&1")[1]
    check("userbot: neither Redis' files nor the owner's .env are mounted", gone.count("No such file") == 2, gone)


def health_states():
    status, said, _ = inside("userbot", "stenogram health")
    check("stenogram health: ready", status == 0 and "ready" in said, said)
    compose("stop", "redis")
    check("health: unhealthy while Redis is stopped", wait(90, lambda: health() == "unhealthy"), health())
    status, said, _ = inside("userbot", "stenogram health")
    check("health: says that it is the queue", status == 1 and "queue" in said, (status, said))
    check("health: alive all the same", inside("userbot", "stenogram health --live")[0] == 0)
    compose("start", "redis")
    check("health: healthy again by itself", wait(90, lambda: health() == "healthy"), health())
    check("health: that cost no restart", restarts() == 0, restarts())


def host_check():
    status, out, error = call(["./health_check.sh"], timeout=180)
    check("health_check.sh: well, both containers up", status == 0 and "userbot" in out and "redis" in out
          and out.count("container running, healthy") == 2, (status, out + error))


def stop_took(service, stop):
    """Seconds from the signal to the end of the container that `stop` stops, as the engine has noted them: how long the
    command itself takes to start is the machine's affair."""
    name = container(service)
    since = time.time()
    stop(name)
    lines = docker("events", "--since", f"{since:.3f}", "--until", f"{time.time() + 1:.3f}",
                   "--filter", f"container={name}", "--format", "{{json .}}").splitlines()
    at = {event["Action"]: event["timeNano"] / 1e9 for event in map(json.loads, reversed(lines))}
    return at["die"] - at["kill"]


def kills(messages):
    for service in ("userbot", "redis"):
        new = []
        # On a busy machine the daemon may be done before the kill comes: then with more work.
        for times in (3, 12, 48):
            before = int(look(service, "{{.RestartCount}}"))
            sent = messages.send(times)
            new += sent
            wait(90, lambda: messages.answered(sent) >= 1, every=0.05)
            # All but the container's init, which then ends as they did.
            inside(service, "kill -9 -1")
            left = len(sent) - messages.answered(sent)
            check(f"{service} killed at work: Docker starts it again",
                  wait(60, lambda: int(look(service, "{{.RestartCount}}")) > before and look(service, "{{.State.Running}}") == "true"))
            if left > 0:
                break
        check(f"{service} killed at work: {left} of {len(sent)} were not answered yet", left > 0)
        messages.check(f"{service} killed at work", new)


def daemon_status():
    """/proc/PID/status of the daemon."""
    script = 'for p in /proc/[0-9]*; do [ "$(tr "\\0" " " <$p/cmdline)" != "stenogram run " ] || cat $p/status; done'
    return dict(line.split(":", 1) for line in inside("userbot", script)[1].splitlines() if ":" in line)


def memory():
    """Of the state, the decoder's buffer is not counted: whisper.cpp reserves more than it touches."""
    status = daemon_status()
    resident, peak = (int(status[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
    sizes = re.findall(r"(?:model size|kv \w+ +size|compute buffer \((?:conv|encode|cross)\)) *= *([0-9.]+) MB", logs())
    # The last start's seven.
    state = sum(map(float, sizes[-7:]))
    check(f"memory: {resident:.1f} MB resident (peak {peak:.1f}), {resident - state:.1f} without model and state ({state:.1f}), "
          "at most 60", len(sizes) >= 7 and resident - state <= 60, sizes[-7:])


def busy_stop(messages):
    new = []
    # As in kills().
    for times in (5, 20, 80):
        before = len(logs())
        sent = messages.send(times)
        new += sent
        need("busy: recognises when it is stopped", logged_event("recognising", 60, before))
        took = stop_took("userbot", lambda _: compose("stop", "userbot"))
        ended = look("userbot", "{{.State.ExitCode}} {{.State.OOMKilled}}")
        left = len(sent) - messages.answered(sent)
        check(f"busy: docker-compose stop took {took:.1f} s, at most 8, in good order", took <= 8 and ended == "0 false", ended)
        if left > 0:
            break
        up()
    check(f"busy: {left} of {len(sent)} messages were not answered yet", left > 0)
    # All containers anew: the volumes are what stays.
    keep_logs()
    compose("rm", "-f", "-s", "setup", "userbot", "redis")
    up()
    messages.check("busy: containers removed and made anew", new)


class Mirror:
    """A server of models on the bridge's own address, which has none."""

    def __init__(self):
        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_error(404)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        networks = json.loads(look("userbot", "{{json .NetworkSettings.Networks}}"))
        (gateway,) = [net["Gateway"] for name, net in networks.items() if name.endswith("_internet")]
        self.server = http.server.ThreadingHTTPServer((gateway, 0), Handler)
        self.url = f"http://{gateway}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def trouble(messages):
    """A model that cannot be fetched, and a wrong configuration: said, waited with, and over once mended."""
    mirror = Mirror()
    for what, wrong, says in (
        ("a missing model", {"MODEL": "tiny", "MODEL_URL": mirror.url}, "The model could not be fetched"),
        ("a wrong configuration", {"LANGUAGE": "klingon"}, "Mend .env as said above"),
    ):
        settings(**{**GOOD, **wrong, "USERBOT_MEMORY": "3g"})
        keep_logs()
        up("--force-recreate", "setup", "redis", "userbot")
        check(f"{what}: is said", logged(says, 90), logs()[-2000:])
        check(f"{what}: not restarted for it", restarts() == 0 and look("userbot", "{{.State.Status}}") == "running", restarts())
        limit = look("userbot", "{{.HostConfig.Memory}}")
        check(f"{what}: USERBOT_MEMORY=3g is the limit", limit == str(3 << 30), limit)
        took = stop_took("userbot", lambda name: docker("stop", "-t", "15", name))
        check(f"{what}: stops within 8 s meanwhile ({took:.1f} s)", took <= 8)
        up()
        wait(60, lambda: logs().count(says) >= 2)
        settings(**GOOD)
        up()
        check(f"{what}: once .env is mended, `up -d` is enough", wait(90, lambda: health() == "healthy"), logs()[-2000:])
    check("a missing model: was asked for at MODEL_URL", any("tiny" in path for path in mirror.asked), mirror.asked)
    mirror.server.shutdown()
    messages.check("after the trouble", messages.send(1))


def backup_and_restore(messages):
    """As docs/OPERATING.md has it, typed word for word."""
    new = messages.send(2)
    wait(90, lambda: messages.answered(new) >= 2, every=0.05)
    keep_logs()
    status, said = typed(documented("docs/OPERATING.md", "### Making one", "Docker"))
    archives = [os.path.join(CLONE, name) for name in ("stenogram-data.tar.gz", "stenogram-redis.tar.gz")]
    check("backup: the documented commands work", status == 0, (status, said))
    modes = [f"{os.stat(file).st_mode & 0o777:o}" for file in archives]
    check("backup: two archives, readable by their owner alone", modes == ["600", "600"], modes)
    listed = "".join(call(["tar", "-tzf", file])[1] for file in archives)
    check("backup: session, position and queue are in them",
          all(name in listed for name in ("./account.session", "./updates.redb", "appendonly")), listed)
    messages.check("backup: the daemon goes on", new)
    keep_logs()
    compose("rm", "-f", "-s", "setup", "userbot", "redis")
    project = os.environ["COMPOSE_PROJECT_NAME"]
    docker("volume", "rm", f"{project}_data", f"{project}_redis")
    status, said = typed(documented("docs/OPERATING.md", "### Restoring", "Docker"))
    check("restore: the documented commands work on volumes that were lost", status == 0, (status, said))
    check("restore: no login is needed", wait(90, lambda: health() == "healthy") and restarts() == 0, logs()[-2000:])
    mode = inside("userbot", "stat -c '%a %u' /data/account.session")[1].strip()
    check("restore: the session is the daemon's user's alone", mode == "600 10001", mode)
    # Those of the backup that were answered since are not answered again.
    messages.check("restore: goes on", messages.send(1))


def erased():
    """Erasing everything, as docs/OPERATING.md has it; the images alone are kept, for the checks' sake."""
    keep_logs()
    commands = documented("docs/OPERATING.md", "## Erasing everything", "Docker")
    commands = [command for command in commands if not command.startswith("docker image rm ")]
    status, said = typed(commands[:-1])
    check("erasing: `logout` logs out", status == 0 and "Logged out" in said, (status, said))
    status, said = typed(commands[-1:], COMPOSE_FILE=os.environ["COMPOSE_FILE"])
    mine = f"label=com.docker.compose.project={os.environ['COMPOSE_PROJECT_NAME']}"
    left = docker("ps", "-aq", "--filter", mine) + docker("volume", "ls", "-q", "--filter", mine)
    check("erasing: no container and no volume is left", status == 0 and not left, (status, said, left))
    os.remove(os.path.join(CLONE, ".env"))


def by_the_readme():
    """From a fresh clone to the first reply; what is typed is what README.md says."""
    commands = documented("README.md", "**Docker**, in five commands:")
    check(f"README: {len(commands)} commands to the first reply, at most 5", len(commands) <= 5, commands)
    clone, folder, copy, login, start = commands
    check("README: the clone is what is tried here", clone.startswith("git clone ") and folder == "cd stenogram", commands)
    up("telegram")
    telegram = Telegram()
    messages = Messages(telegram)
    status, said = typed([copy])
    with open(os.path.join(CLONE, ".env")) as made, open(os.path.join(CLONE, ".env.example")) as example:
        check("README: .env is made", status == 0 and made.read() == example.read(), said)
    settings(**GOOD)
    put_session(telegram, ("run", "--rm", "-T", "--entrypoint", "sh", "userbot"))
    status, shown = log_in(login)
    check("README: login before the first `up`", status == 0 and "Logged in as user 1000" in shown, (status, shown))
    status, said = typed([start])
    check("README: then `up -d` works with no further step",
          status == 0 and wait(90, lambda: health() == "healthy") and restarts() == 0, said + logs()[-2000:])
    messages.check("README: the first reply", messages.send(1))
    return messages


def second_file():
    """The GPU variant; no GPU here, so only whether compose understands it."""
    files = ["-f", "docker-compose.yml", "-f", "docker-compose.gpu.yml"]
    status, out, error = compose(*files, "config")
    check("docker-compose.gpu.yml: understood; not tried, for want of a GPU and of CUDA's images",
          status == 0 and "FEATURES: cuda" in out and "gpu" in out, error)
    for names in [("yml", "gateway.yml"), ("worker.yml",), ("worker.yml", "worker-gpu.yml"), ("family.yml",)]:
        files = [f"docker-compose.{name}" for name in names]
        status, out, error = compose(*(word for file in files for word in ("-f", file)), "config")
        check(f"{', '.join(files)}: understood", status == 0, error)


def secrets_kept(texts):
    """Nothing that was planted, and nothing that was said, can be read by others."""
    kept = {"API_HASH": API_HASH, "Redis' password": PASSWORD_CORE, "the phone number": PHONE[1:], "the second password": SECOND_PASSWORD}
    keep_logs()
    containers = [container(service) for service in ("setup", "userbot", "redis")]
    places = {
        "docker inspect of the containers": docker("inspect", *containers),
        "docker inspect of the image": docker("image", "inspect", IMAGE),
        "docker history": docker("history", "--no-trunc", IMAGE),
        "docker logs, at trace level": "".join(kept_logs),
        "the files in LOG_DIR": inside("userbot", "cat /logs/*")[1],
        "the processes' arguments and environments": "".join(
            inside(service, "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'")[1]
            for service in ("userbot", "redis")),
        "what the health check said": look("userbot", "{{json .State.Health}}"),
    }
    for place, text in places.items():
        leaks = [name for name, secret in kept.items() if secret in text]
        leaks += [said for said in texts if said in text]
        check(f"no secret and no transcript in {place}", text and not leaks, leaks or "nothing there to look at")
    check("logs: are as talkative as it gets", "DEBUG whisper: " in places["docker logs, at trace level"])
    check("logs: the files in LOG_DIR have the daemon's lines", event("answered", places["the files in LOG_DIR"]))


def checks():
    the_context()
    build()
    the_recipe()
    the_image()
    without_env()
    settings(**GOOD)
    mode = os.stat(os.path.join(CLONE, ".env")).st_mode & 0o777
    without_a_session()
    check(f"an .env of mode {mode:o} is handed over", mode == 0o600)
    up("telegram")
    telegram = Telegram()
    messages = Messages(telegram)
    the_login(telegram)
    messages.check("first messages", messages.send(1))
    hardening()
    health_states()
    host_check()
    kills(messages)
    memory()
    busy_stop(messages)
    trouble(messages)
    backup_and_restore(messages)
    erased()
    by_the_readme()
    second_file()
    secrets_kept(set(messages.sent.values()))


def main():
    try:
        checks()
    except Abandoned as what:
        print(f"The rest was not looked at, for want of: {what}")
    except Exception as error:  # a check that cannot be made has failed
        check("the checks went on to their end", False, f"{type(error).__name__}: {error}")
    print(f"\n{passed} checks passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
