//! How the application behaves, by `VARIANT`: what is said there is the web server's, `COMMAND:WHAT` is another
//! command's, and a comma stands between several, as in `good,migrate:fail,worker:crash`.

use std::env;
use std::io::Write;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::server::{self, Answers};
use crate::{identity, number};

/// The variant of a command; `good` if nothing is said of it.
pub(crate) fn of(command: &str) -> String {
    variant_in(&env::var("VARIANT").unwrap_or_default(), command).to_owned()
}

fn variant_in<'a>(all: &'a str, command: &str) -> &'a str {
    let mut each = all.split(',').map(|one| one.split_once(':').unwrap_or(("web", one)));
    each.find(|(of, what)| *of == command && !what.is_empty()).map_or("good", |(_, what)| what)
}

/// Does what a command other than `web` is told to do at its beginning, and says what it is told; `crash`, `hang` (deaf to
/// TERM), `eat-memory` and `print-secrets` every command knows.
pub(crate) fn begin(command: &str) -> Result<String> {
    let variant = of(command);
    println!("app {} starts as {command}, {variant}", identity::release());
    match variant.as_str() {
        "crash" => bail!("crashing, as I was told"),
        "hang" => loop {
            thread::park();
        },
        "eat-memory" => eat_memory()?,
        "print-secrets" => print_secrets(),
        _ => {}
    }
    Ok(variant)
}

fn print_secrets() {
    for (name, value) in env::vars() {
        println!("{name}={value}");
    }
}

/// Runs until it is told to end, or until its variant ends it.
///
/// - `good`: answers.
/// - `crash`: ends at once with 1. `crash-later`: answers, then ends after `CRASH_AFTER_MS` (2000).
/// - `never-listens`: runs, and that is all. `slow`: listens after `BOOT_DELAY_MS` (1500).
/// - `error`: answers 500. `flaky`: answers 200 once, then 500. `hang`: takes connections and never answers.
/// - `ignore-term`: answers, and does not end when asked.
/// - `eat-memory`: answers, and takes more and more memory, to be killed for it.
/// - `hungry-children`: answers, while a child of it eats memory, is killed for it, and is started again.
/// - `print-secrets`: prints its whole environment, then answers.
/// - `noise`: writes what is no text and a line of a megabyte, then ends with 1.
/// - `worker`: listens nowhere; works until it is told to end.
pub(crate) fn run() -> Result<()> {
    let variant = of("web");
    // Before anything slow: the first process of a container that handles no signal is deaf to TERM.
    let signals = if variant == "ignore-term" { None } else { Some(Signals::new([SIGTERM, SIGINT])?) };
    println!("app {} starts as {variant}", identity::release());
    match variant.as_str() {
        "good" | "ignore-term" => server::run(Answers::Good, signals),
        "crash" => bail!("crashing, as I was told"),
        "crash-later" => {
            let after = Duration::from_millis(number("CRASH_AFTER_MS", 2000));
            thread::spawn(move || {
                thread::sleep(after);
                eprintln!("app: crashing, as I was told");
                std::process::exit(1);
            });
            server::run(Answers::Good, signals)
        }
        "never-listens" | "worker" => {
            work(&variant, signals);
            Ok(())
        }
        "slow" => {
            thread::spawn(|| {
                thread::sleep(Duration::from_millis(number("BOOT_DELAY_MS", 1500)));
                println!("app has booted");
            });
            server::run_after(Duration::from_millis(number("BOOT_DELAY_MS", 1500)), signals)
        }
        "error" => server::run(Answers::Error, signals),
        "flaky" => server::run(Answers::Flaky, signals),
        "hang" => server::run(Answers::Never, signals),
        "eat-memory" => {
            thread::spawn(eat_memory);
            server::run(Answers::Good, signals)
        }
        "hungry-children" => {
            thread::spawn(hungry_children);
            server::run(Answers::Good, signals)
        }
        "print-secrets" => {
            print_secrets();
            server::run(Answers::Good, signals)
        }
        "noise" => noise(),
        other => bail!("unknown VARIANT {other}"),
    }
}

/// Until a signal comes; for ever without signals.
fn work(variant: &str, signals: Option<Signals>) {
    let worker = variant == "worker";
    thread::spawn(move || {
        let mut turn = 0_u64;
        loop {
            thread::sleep(Duration::from_secs(1));
            turn += 1;
            if worker && turn.is_multiple_of(10) {
                println!("app has worked {turn} s");
            }
        }
    });
    match signals {
        Some(mut signals) => {
            signals.forever().next();
            println!("app ends");
        }
        None => loop {
            thread::park();
        },
    }
}

/// As a web server does with its workers.
fn hungry_children() {
    loop {
        let child = std::env::current_exe().and_then(|me| std::process::Command::new(me).arg("eat").status());
        println!("app: my child ended: {child:?}");
    }
}

/// Does not return; its result is that of the other commands.
pub(crate) fn eat_memory() -> Result<()> {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        // Written to: memory that is only promised kills nobody.
        eaten.push(vec![1; 8 << 20]);
        thread::sleep(Duration::from_millis(20));
        if eaten.len() > 512 {
            // 4 GB without a limit in sight: enough for the machine that this runs on.
            eprintln!("app: nobody limits my memory");
            std::process::exit(1);
        }
    }
}

fn noise() -> Result<()> {
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(b"caf\xe9 \xff\xfe\x00\x1b[31mred\x1b[0m\xe9\n")?;
    stderr.write_all(&vec![b'x'; 1 << 20])?;
    stderr.write_all(b"\n\xc3")?;
    stderr.flush()?;
    bail!("that was noise")
}

#[cfg(test)]
mod tests {
    use super::variant_in;

    #[test]
    fn each_command_has_its_own() {
        assert_eq!(["web", "worker"].map(|command| variant_in("slow", command)), ["slow", "good"]);
        assert_eq!(["web", "worker"].map(|command| variant_in("worker:crash", command)), ["good", "crash"]);
        let all = "flaky,migrate:fail,worker:crash-later";
        assert_eq!(["web", "migrate"].map(|command| variant_in(all, command)), ["flaky", "fail"]);
        assert_eq!(variant_in("", "web"), "good");
    }
}
