//! Mistakes in the options of a container, each shown in its place: most of them Docker would notice only when it starts
//! the container, after live was stopped.

use insta::assert_snapshot;

use crate::bundle::{Bundle, CONFIG};

/// What is said of one more line in `[process.web]`: headline, line and hint.
fn said(line: &str) -> String {
    let bundle = Bundle::new();
    let publish = "publish = [\"8000:8000\"]\n";
    assert!(CONFIG.contains(publish));
    bundle.write("handover.toml", &CONFIG.replacen(publish, &format!("{publish}{line}\n"), 1));
    let seen = bundle.hook("ApplicationStart").seen();
    assert_eq!(seen.exit, Some(2), "{line}: {seen}");
    let is_shown = |l: &&str| l.starts_with("error:") || l.contains('^') || l.starts_with(['6', '7']);
    let shown: Vec<&str> = seen.stderr.lines().filter(is_shown).collect();
    assert_eq!(shown.len(), 3, "{line}: {seen}");
    shown.join("\n")
}

#[test]
fn each_value_is_checked_and_shown_where_it_is() {
    let lines = [
        "stop-signal = \"SIGTREM\"",
        "stop-signal = 0",
        "cpus = 0",
        "cpus = \"two\"",
        "user = \"app:app:app\"",
        "read-only = \"yes\"",
        "tmpfs = [\"/run\", \"tmp\"]",
        "tmpfs = [\"/tmp:size=64mb\"]",
        "tmpfs = [\"/tmp\", \"/tmp/\"]",
        "volumes = [\"media:/media\", \"./media:/media2\"]",
        "volumes = [\"/srv/media:/media:readonly\"]",
        "volumes = [\"/srv/media:/media\", \"media:/media\"]",
        "extra-hosts = [\"db.internal:10.0.0.5\", \"cache.internal\"]",
        "network = \"container:other\"",
        "network = \"host\"",
        "capabilities = { drop = [\"ALL\"], add = [\"NET_BIND_SERVCE\"] }",
        "capabilities = { add = [\"EVERYTHING\"] }",
        "capabilities = { remove = [\"ALL\"] }",
        "ulimits = { nofiles = 65536 }",
        "ulimits = { nofile = { soft = 20, hard = 10 } }",
        "ulimits = { nofile = -1 }",
        "ulimits = { nofile = \"many\" }",
        "shm-size = \"64x\"",
        "log = { driver = \"awslogs\", max-size = \"10m\" }",
        "log = { max-size = \"10 XB\" }",
        "log = { max-file = 0 }",
        "log = { driver = \"json-file\", options = { max-size = \"10m\" } }",
        "labels = { \"handover.app\" = \"other\" }",
        "hostname = \"-web\"",
        "working-dir = \"app\"",
        "devices = [\"/dev/fuse\", \"fuse\"]",
        "dns = [\"resolver.internal\"]",
        "pids-limit = -2",
        "security-opt = [\"seccomp=profile.json\"]",
        "gpus = 0",
        "memory = \"half\"",
        "log = { size = \"10m\" }",
    ];
    let all: Vec<String> = lines.map(said).into();
    assert_snapshot!(all.join("\n\n"), @r#"
    error: 'SIGTREM' is not a stop signal: did you mean 'TERM'?
    7 | stop-signal = "SIGTREM"
      |               ^^^^^^^^^ here

    error: '0' is not a stop signal: known here: HUP, INT, QUIT, ABRT, KILL, USR1, USR2, PIPE, ALRM, TERM, WINCH, PWR
    7 | stop-signal = 0
      |               ^ here

    error: a container cannot have 0 processors
    7 | cpus = 0
      |        ^ write a number from 0.01 to 1024

    error: write a number of processors, such as 0.5 or 2
    7 | cpus = "two"
      |        ^^^^^ here

    error: 'app:app:app' is not a user: write "USER" or "USER:GROUP", names or numbers
    7 | user = "app:app:app"
      |        ^^^^^^^^^^^^^ here

    error: true or false belongs here
    7 | read-only = "yes"
      |             ^^^^^ write it without quotes

    error: 'tmp' does not start with a folder of the container, such as "/tmp"
    7 | tmpfs = ["/run", "tmp"]
      |                  ^^^^^ here

    error: 'size=64mb' is not a tmpfs option: use size=64m, mode=1777, uid=NUMBER, gid=NUMBER and exec
    7 | tmpfs = ["/tmp:size=64mb"]
      |          ^^^^^^^^^^^^^^^^ here

    error: two things are mounted at '/tmp/'
    7 | tmpfs = ["/tmp", "/tmp/"]
      |                  ^^^^^^^ keep one of them

    error: cannot read './media' in the bundle: No such file or directory (os error 2)
    7 | volumes = ["media:/media", "./media:/media2"]
      |                            ^^^^^^^^^^^^^^^^^ here

    error: '/srv/media:/media:readonly' is not a volume: write "/HOST/PATH:/PATH", "NAME:/PATH" or "@NAME:/PATH", with :ro if it is read-only, or "./PATH:/PATH" of the bundle
    7 | volumes = ["/srv/media:/media:readonly"]
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ here

    error: two things are mounted at '/media'
    7 | volumes = ["/srv/media:/media", "media:/media"]
      |                                 ^^^^^^^^^^^^^^ keep one of them

    error: 'cache.internal' is not a host: write "NAME:ADDRESS" or "NAME:host-gateway"
    7 | extra-hosts = ["db.internal:10.0.0.5", "cache.internal"]
      |                                        ^^^^^^^^^^^^^^^^ here

    error: 'container:other' is not a network: write the name of a bridge network, "host" or "none"
    7 | network = "container:other"
      |           ^^^^^^^^^^^^^^^^^ here

    error: network = "host" cannot be used with 'publish': the container has no ports of its own
    6 | publish = ["8000:8000"]
      |            ^^^^^^^^^^^ remove 'publish', or use a bridge network

    error: 'NET_BIND_SERVCE' is not a capability: did you mean 'NET_BIND_SERVICE'?
    7 | capabilities = { drop = ["ALL"], add = ["NET_BIND_SERVCE"] }
      |                                         ^^^^^^^^^^^^^^^^^ here

    error: 'EVERYTHING' is not a capability: see capabilities(7)
    7 | capabilities = { add = ["EVERYTHING"] }
      |                         ^^^^^^^^^^^^ here

    error: unknown key 'remove'
    7 | capabilities = { remove = ["ALL"] }
      |                  ^^^^^^ known here: add, drop

    error: 'nofiles' is not a ulimit
    7 | ulimits = { nofiles = 65536 }
      |             ^^^^^^^ did you mean 'nofile'?

    error: the soft limit is above the hard limit
    7 | ulimits = { nofile = { soft = 20, hard = 10 } }
      |                      ^^^^^^^^^^^^^^^^^^^^^^^^ here

    error: 'nofile' cannot be unlimited
    7 | ulimits = { nofile = -1 }
      |                      ^^ write a number

    error: write a number, or { soft = NUMBER, hard = NUMBER }
    7 | ulimits = { nofile = "many" }
      |                      ^^^^^^ here

    error: '64x' is not an amount of memory: write a number and b, k, m or g, such as "512m"
    7 | shm-size = "64x"
      |            ^^^^^ here

    error: 'max-size' and 'max-file' cannot be used with driver 'awslogs'
    7 | log = { driver = "awslogs", max-size = "10m" }
      |                                        ^^^^^ remove it; the driver's own options go into options = { ... }

    error: '10 XB' is not an amount of memory: write a number and b, k, m or g, such as "512m"
    7 | log = { max-size = "10 XB" }
      |                    ^^^^^^^ here

    error: at least one log file has to be kept
    7 | log = { max-file = 0 }
      |                    ^ write 1 or more

    error: 'max-size' has its own key, so it cannot be in 'options'
    7 | log = { driver = "json-file", options = { max-size = "10m" } }
      |                                           ^^^^^^^^ write it next to 'driver'

    error: label 'handover.app' is handover's own: it finds its containers by it
    7 | labels = { "handover.app" = "other" }
      |            ^^^^^^^^^^^^^^ use a name that does not begin with 'handover.'

    error: '-web' is not a host's name: write letters, digits, dashes and dots, 64 characters at most
    7 | hostname = "-web"
      |            ^^^^^^ here

    error: 'app' is not the path of a folder in the container
    7 | working-dir = "app"
      |               ^^^^^ write an absolute path, such as "/app"

    error: 'fuse' is not a device: write "/dev/NAME" or "/dev/NAME:/dev/NAME", with :r, :rw or :rwm for what the container may do
    7 | devices = ["/dev/fuse", "fuse"]
      |                         ^^^^^^ here

    error: 'resolver.internal' is not the address of a DNS server
    7 | dns = ["resolver.internal"]
      |        ^^^^^^^^^^^^^^^^^^^ write an IP address, such as "10.0.0.2"

    error: a limit cannot be negative
    7 | pids-limit = -2
      |              ^^ -1 means no limit

    error: 'seccomp=profile.json' names a profile in a file, which handover does not read: write seccomp=unconfined, or set the Engine's default (seccomp-profile in /etc/d...
    7 | security-opt = ["seccomp=profile.json"]
      |                 ^^^^^^^^^^^^^^^^^^^^^^ here

    error: '0' does not say which GPUs: write "all", a number, or "device=0,1"
    7 | gpus = 0
      |        ^ here

    error: 'half' is not an amount of memory: write a number and b, k, m or g, such as "512m"
    7 | memory = "half"
      |          ^^^^^^ here

    error: unknown key 'size'
    7 | log = { size = "10m" }
      |         ^^^^ known here: driver, max-size, max-file, options
    "#);
}

#[test]
fn a_container_without_a_network_has_no_probe_over_it() {
    let bundle = Bundle::new();
    let text = CONFIG.replacen("publish = [\"8000:8000\"]", "network = \"none\"", 1);
    bundle.write("handover.toml", &format!("{text}\n[process.web.health]\nhttp = \"/\"\nport = 8000\n"));
    let seen = bundle.hook("ApplicationStart").seen();
    assert_eq!(seen.exit, Some(2), "{seen}");
    assert_snapshot!(seen, @r#"
    exit: 2
    --- stderr
    error: with network = "none" the container cannot be reached by a probe
     --> BUNDLE/handover.toml:9:1
      |
    9 | [process.web.health]
      | ^^^^^^^^^^^^^^^^^^^^ use 'command' or 'docker'
    next:  handover lint BUNDLE
    handover: FAILED (exit 2): nothing was changed
    "#);
}
