//! What is on the disks of instances: every version reads what every earlier one wrote, and writes it the same way.
//! Change a fixture only when its format has a new number.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use handover::config::{self, Config, RequestedGroup};
use handover::journal::{History, Journal, Line};
use handover::model::ReleaseNumber;
use handover::state::{Record, Releases};
use insta::assert_snapshot;

use crate::bundle::{Bundle, CONFIG};

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A journal, read, and as it reads.
fn journal(name: &str) -> String {
    let text = fixture(name);
    for line in text.lines() {
        let parsed: Line = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), line, "it would be written otherwise today");
    }
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &text);
    printed(&Journal::read(dir.path()).unwrap().unwrap())
}

fn write_journal(releases: &Path, text: &str) {
    let path = Journal::path(releases, ReleaseNumber(2));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn printed(history: &History) -> String {
    let header = history.header().unwrap();
    let mut text =
        format!("{} {} of {} by {}\n", header.app, header.release, header.deployment, header.version);
    for begun in history.steps() {
        writeln!(text, "{}: {:?} {:?}", begun.name, begun.state, begun.inverse).unwrap();
    }
    writeln!(text, "{:#?}", history.facts()).unwrap();
    writeln!(text, "{:?}", history.direction()).unwrap();
    writeln!(text, "committed: {}, regated: {:?}", history.is_committed(), history.regated()).unwrap();
    writeln!(text, "{:?}", history.ended()).unwrap();
    text
}

#[test]
fn journals_of_version_1() {
    assert_snapshot!(journal("journal-v1-deployed.jsonl"), @r#"
    status-page r2 of d-2 by 0.1.0
    preflight: Done []
    compare: Done []
    pull-images: Done []
    write-files: Done [RemoveFiles { release: ReleaseNumber(2) }]
    create web: Done [RemoveContainer { name: "status-page-web.r2", deployment: DeploymentId("d-2") }]
    recheck: Done []
    protect-live web: Done [SetRestartPolicy { id: "old", policy: "unless-stopped" }]
    stop-live web: Done [Start { id: "old", started_at: "2026-11-22T08:00:00.123456789Z" }]
    start-new web: Done [Stop { id: "new" }]
    gate web: Done []
    keep-new web: Done [SetRestartPolicy { id: "new", policy: "no" }]
    release-old web: Done [SetRestartPolicy { id: "old", policy: "always" }]
    park-old web: Done [Rename { id: "old", to: "status-page-web" }]
    promote web: Done [Rename { id: "new", to: "status-page-web.r2" }]
    verify web: Done []
    record: Done []
    Facts {
        images: {
            ImageName(
                "default",
            ): ImageRef {
                repository: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page",
                digest: ImageDigest(
                    "sha256:09dbe2c5eacb52c6dbca5a73ff4062a99b9ecf31b5442c308c7d14d6ba107d90",
                ),
            },
        },
        secret_versions: {
            "database": "11111111-2222-3333-4444-555555555555",
        },
        unchanged: None,
        live: {
            ProcessName(
                "web",
            ): LiveContainer {
                id: "old",
                name: "status-page-web",
                release: Some(
                    ReleaseNumber(
                        1,
                    ),
                ),
                running: true,
            },
        },
        new: {
            ProcessName(
                "web",
            ): "new",
        },
        candidates: {},
        tasks: {},
    }
    Forward
    committed: true, regated: None
    Some(Deployed)
    "#);
    assert_snapshot!(journal("journal-v1-reverted.jsonl"), @r#"
    status-page r2 of d-2 by 0.1.0
    preflight: Undone []
    compare: Undone []
    pull-images: Undone []
    write-files: Undone [RemoveFiles { release: ReleaseNumber(2) }]
    create web: Undone [RemoveContainer { name: "status-page-web.r2", deployment: DeploymentId("d-2") }]
    recheck: Undone []
    protect-live web: Undone [SetRestartPolicy { id: "old", policy: "unless-stopped" }]
    stop-live web: Undone [Start { id: "old", started_at: "2026-11-22T08:00:00.123456789Z" }]
    start-new web: Undone [Stop { id: "new" }]
    gate web: Undone []
    Facts {
        images: {
            ImageName(
                "default",
            ): ImageRef {
                repository: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page",
                digest: ImageDigest(
                    "sha256:09dbe2c5eacb52c6dbca5a73ff4062a99b9ecf31b5442c308c7d14d6ba107d90",
                ),
            },
        },
        secret_versions: {
            "database": "11111111-2222-3333-4444-555555555555",
        },
        unchanged: None,
        live: {
            ProcessName(
                "web",
            ): LiveContainer {
                id: "old",
                name: "status-page-web",
                release: Some(
                    ReleaseNumber(
                        1,
                    ),
                ),
                running: true,
            },
        },
        new: {
            ProcessName(
                "web",
            ): "new",
        },
        candidates: {},
        tasks: {},
    }
    Backward(Failure { kind: Verdict, what: "container 'status-page-web.r2' is not healthy: it exited with code 1", fix: "", evidence: ["cannot open the database"], findings: [] })
    committed: false, regated: Some(false)
    Some(Reverted { cause: "container 'status-page-web.r2' is not healthy: it exited with code 1", serving: false })
    "#);
    assert_snapshot!(journal("journal-v1-abandoned.jsonl"), @r#"
    status-page r2 of d-2 by 0.1.0
    preflight: Done []
    compare: Done []
    pull-images: Done []
    write-files: Done [RemoveFiles { release: ReleaseNumber(2) }]
    create web: Done [RemoveContainer { name: "status-page-web.r2", deployment: DeploymentId("d-2") }]
    Facts {
        images: {
            ImageName(
                "default",
            ): ImageRef {
                repository: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page",
                digest: ImageDigest(
                    "sha256:09dbe2c5eacb52c6dbca5a73ff4062a99b9ecf31b5442c308c7d14d6ba107d90",
                ),
            },
        },
        secret_versions: {
            "database": "11111111-2222-3333-4444-555555555555",
        },
        unchanged: None,
        live: {
            ProcessName(
                "web",
            ): LiveContainer {
                id: "old",
                name: "status-page-web",
                release: Some(
                    ReleaseNumber(
                        1,
                    ),
                ),
                running: true,
            },
        },
        new: {
            ProcessName(
                "web",
            ): "new",
        },
        candidates: {},
        tasks: {},
    }
    Backward(Failure { kind: Refused, what: "it was given up for deployment d-3", fix: "", evidence: [], findings: [] })
    committed: false, regated: None
    None
    "#);
    assert_snapshot!(journal("journal-v1-findings.jsonl"), @r#"
    status-page r2 of d-2 by 0.1.0
    preflight: Undone []
    Facts {
        images: {},
        secret_versions: {},
        unchanged: None,
        live: {},
        new: {},
        candidates: {},
        tasks: {},
    }
    Backward(Failure { kind: Findings, what: "2 findings", fix: "", evidence: [], findings: [Finding { what: "port 8000 is held by 'python3' (pid 4711)", fix: "stop it" }, Finding { what: "secret 'x' is not a JSON object", fix: "" }] })
    committed: false, regated: Some(true)
    Some(Reverted { cause: "2 findings", serving: true })
    "#);
}

#[test]
fn records_of_version_1() {
    for name in
        ["record-v1-good.json", "record-v1-refused.json", "record-v1-full.json", "record-v1-unchanged.json"]
    {
        let text = fixture(name);
        let record: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(
            serde_json::to_string_pretty(&record).unwrap(),
            text,
            "it would be written otherwise today"
        );
        let dir = tempfile::tempdir().unwrap();
        let folder = Releases::of(dir.path()).folder(record.release);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("record.json"), text).unwrap();
        assert_eq!(Releases::of(dir.path()).records(), [record]);
    }
}

/// Keys that a later version adds must not keep an earlier one from undoing its run.
#[test]
fn what_is_not_known_is_passed_over() {
    let text = fixture("journal-v1-deployed.jsonl");
    let later = text.replace("\"entry\":\"done\"", "\"entry\":\"done\",\"since\":\"0.2.0\"");
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &later);
    assert!(Journal::read(dir.path()).unwrap().unwrap().ended().is_some());
    let record = fixture("record-v1-good.json").replacen('{', "{\n  \"schema\": 4,", 1);
    assert!(serde_json::from_str::<Record>(&record).is_ok());
}

/// A release's configuration is read again by who does not know its deployment group.
#[test]
fn what_is_kept_needs_no_group() {
    let bundle = Bundle::new();
    let groups = "groups = [\"test\", \"production-*\"]\n[image]";
    let table =
        "[group.test]\nprocess.web.memory = \"256m\"\nprocess.web.order = false\nprocess.web.publish = []\n";
    bundle.write("handover.toml", &(CONFIG.replacen("[image]", groups, 1) + table));
    for group in ["test", "production-eu"] {
        let config = config::load(&bundle.path(""), RequestedGroup::Hook(Some(group))).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let releases = Releases::of(dir.path());
        releases.keep_config(ReleaseNumber(1), &config).unwrap();
        let kept = releases.config(ReleaseNumber(1)).unwrap().unwrap();
        let plain = |config: &Config| serde_json::to_string(&config.settings).unwrap();
        assert_eq!(plain(&kept), plain(&config));
        assert_eq!(plain(&kept).contains("8000"), group == "production-eu");
    }
}

fn settings(name: &str) -> String {
    serde_json::to_string_pretty(&config::parse(&fixture(name), name).unwrap()).unwrap()
}

#[test]
fn configurations() {
    assert_snapshot!(settings("config-minimal.toml"), @r#"
    {
      "app": "status-page",
      "disposable": false,
      "images": {
        "default": {
          "repository": "status-page",
          "auth": "ecr",
          "region": null,
          "tag": "latest"
        }
      },
      "secrets": {},
      "environment": {},
      "processes": {
        "web": {
          "image": "default",
          "command": null,
          "stop_timeout": {
            "secs": 30,
            "nanos": 0
          },
          "memory": null,
          "publish": [],
          "health": {
            "probe": "running",
            "interval": {
              "secs": 1,
              "nanos": 0
            },
            "timeout": {
              "secs": 3,
              "nanos": 0
            },
            "successes": 3,
            "min_healthy": {
              "secs": 5,
              "nanos": 0
            },
            "deadline": {
              "secs": 120,
              "nanos": 0
            }
          }
        }
      }
    }
    "#);
    assert_snapshot!(settings("config-full.toml"), @r#"
    {
      "app": "status-page",
      "disposable": false,
      "images": {
        "default": {
          "repository": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page",
          "auth": "ecr",
          "region": "eu-west-1",
          "tag": "latest"
        }
      },
      "secrets": {
        "database": {
          "id": "rds!db-0123",
          "format": "json",
          "fields": {
            "dbname": "statuspage",
            "host": "db.internal",
            "port": "5432"
          }
        },
        "redis": {
          "id": "prod/status-page/redis",
          "format": "text",
          "fields": {}
        }
      },
      "environment": {
        "DATABASE_HOST": {
          "secret": {
            "secret": "database",
            "field": "host",
            "default": null
          }
        },
        "DATABASE_PORT": {
          "secret": {
            "secret": "database",
            "field": "port",
            "default": "5432"
          }
        },
        "DJANGO_LOG_LEVEL": {
          "literal": "INFO"
        },
        "REDIS_URL": {
          "template": "rediss://:{{ redis.value | urlencode }}@cache.internal:6379/0"
        }
      },
      "processes": {
        "web": {
          "image": "default",
          "command": [
            "gunicorn",
            "statuspage.wsgi"
          ],
          "stop_timeout": {
            "secs": 35,
            "nanos": 0
          },
          "memory": "536870912b",
          "publish": [
            "8000:8000/tcp",
            "127.0.0.1:9000:9000/tcp"
          ],
          "health": {
            "probe": {
              "http": {
                "path": "/health",
                "port": 8000,
                "host": "status.example.com",
                "status": [
                  "200-399",
                  "401-401"
                ]
              }
            },
            "interval": {
              "secs": 1,
              "nanos": 0
            },
            "timeout": {
              "secs": 3,
              "nanos": 0
            },
            "successes": 3,
            "min_healthy": {
              "secs": 5,
              "nanos": 0
            },
            "deadline": {
              "secs": 120,
              "nanos": 0
            }
          }
        }
      }
    }
    "#);
}
