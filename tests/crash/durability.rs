//! An entry of the journal is written before anything that it announces is asked of Docker, and it is on the disk by
//! then. The latter is seen from outside: a whole deployment runs under strace, and its system calls are read.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Arc, Mutex};

use fake_docker::Fate;

use crate::world::World;

/// Which step may make a call that changes something.
fn steps_of(path: &str) -> &'static [&'static str] {
    let of = [
        ("/images/create", &["pull-images"][..]),
        ("/containers/create", &["create web"]),
        ("/update", &["protect-live web", "keep-new web", "release-old web"]),
        ("/stop", &["stop-live web"]),
        ("/start", &["start-new web"]),
        ("/rename", &["park-old web", "promote web"]),
        ("/tag", &["pull-images"]),
    ];
    of.iter().find(|(end, _)| path.ends_with(end)).map_or(&[], |(_, steps)| steps)
}

#[tokio::test(flavor = "current_thread")]
async fn every_change_is_announced_by_the_last_entry() {
    let world = World::with_v1().await;
    // That of the release which is being made.
    let journal = world.state().join("releases/2/journal.jsonl");
    // A panic in the Engine is a call that failed, which may be tried again: so what is wrong is kept, and told at the end.
    let seen = Arc::new(Mutex::new((0, vec![])));
    let kept = Arc::clone(&seen);
    world.engine.on_call(Box::new(move |call| {
        if call.mutating {
            let text = std::fs::read_to_string(&journal).unwrap();
            let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
            let step = last["step"].as_str().unwrap_or_default();
            let (calls, wrong) = &mut *kept.lock().unwrap();
            *calls += 1;
            if last["entry"] != "began" || !steps_of(&call.path).contains(&step) {
                wrong.push(format!("{} is made after {last}", call.path));
            }
        }
        Fate::Proceed
    }));
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
    let (calls, wrong) = &*seen.lock().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(*calls, 10);
}

/// What is traced: not a test of its own.
#[tokio::test(flavor = "current_thread")]
#[ignore = "run by the test below, under strace"]
async fn traced() {
    let world = World::with_v1().await;
    assert_eq!(world.deploy("d-2", "v2").await.unwrap().exit().code(), 0);
}

#[test]
fn every_entry_is_synced_before_the_next_call() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let run = Command::new("strace")
        .args(["-f", "-y", "-s", "120", "-e", "signal=none"])
        .args([
            "-e",
            "trace=connect,close,write,writev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat",
        ])
        .arg("-o")
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "durability::traced"])
        .output()
        .expect("strace is installed");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    let trace = std::fs::read_to_string(&trace).unwrap();
    let Seen { entries, calls } = Seen::read(&trace);
    assert!(entries > 40 && calls > 60, "{entries} entries and {calls} calls were seen");
}

#[derive(Default)]
struct Seen {
    entries: usize,
    calls: usize,
}

impl Seen {
    fn read(trace: &str) -> Self {
        let mut seen = Self::default();
        // Connections of a client to the Engine's socket, by their descriptor.
        let mut to_docker = BTreeSet::new();
        // What was written and is not on the disk yet.
        let mut unsynced: Option<&str> = None;
        let mut renamed: Option<&str> = None;
        let mut made: Option<&str> = None;
        for line in trace.lines() {
            let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
            let Some((name, rest)) = call.split_once('(') else { continue };
            let descriptor = rest.split(['<', ',', ')']).next().unwrap_or_default();
            let on = |path: &str| rest.split_once('>').is_some_and(|(file, _)| file.ends_with(path));
            match name {
                "connect" if rest.contains("docker.sock") => {
                    to_docker.insert(descriptor.to_owned());
                }
                "close" => {
                    to_docker.remove(descriptor);
                }
                "write" | "writev" if on("/journal.jsonl") => {
                    seen.entries += 1;
                    unsynced = Some(line);
                }
                "fsync" | "fdatasync" if on("/journal.jsonl") => unsynced = None,
                // The first entry arrives by rename: the folder has to be synced.
                "rename" | "renameat" | "renameat2" if rest.contains("/journal.jsonl\"") => {
                    seen.entries += 1;
                    renamed = Some(line);
                }
                "fsync" | "fdatasync" if on("/releases/1") || on("/releases/2") => renamed = None,
                // And the folder of the release, in which it is, must not vanish either.
                "mkdir" | "mkdirat"
                    if ["/releases/1\"", "/releases/2\""].iter().any(|new| rest.contains(new)) =>
                {
                    made = Some(line);
                }
                "fsync" | "fdatasync" if on("/status-page/releases") => made = None,
                "write" | "writev" | "sendto" | "sendmsg" if to_docker.contains(descriptor) => {
                    seen.calls += 1;
                    if let Some(entry) = unsynced.or(renamed).or(made) {
                        panic!("Docker was called before the journal was on the disk:\n{entry}\n{line}");
                    }
                }
                _ => {}
            }
        }
        seen
    }
}
