//! The lab's command line, and the programs that the lab runs as its own processes.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use lab::{ImageSpec, Lab};

/// A small VPC with EC2 instances in it, out of namespaces.
#[derive(Parser)]
#[command(name = "lab")]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Raise a VPC in a new folder; it stays until `down`.
    Up {
        /// The folder.
        dir: PathBuf,
    },
    /// Make an instance and boot it; print its address.
    Host {
        /// The lab's folder.
        dir: PathBuf,
        /// The instance's name.
        name: String,
    },
    /// Run a command in an instance, or in the network of the VPC.
    Exec {
        /// The lab's folder.
        dir: PathBuf,
        /// The instance's name, or `vpc`.
        name: String,
        /// The command.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Cut an instance's power.
    Cut {
        /// The lab's folder.
        dir: PathBuf,
        /// The instance's name.
        name: String,
    },
    /// Boot an instance again.
    Boot {
        /// The lab's folder.
        dir: PathBuf,
        /// The instance's name.
        name: String,
    },
    /// End a part: registry, aws, database, cache or resolver, or an instance's as NAME/docker or NAME/imds.
    Stop {
        /// The lab's folder.
        dir: PathBuf,
        /// The part.
        part: String,
    },
    /// Start a part again, and wait until it answers.
    Start {
        /// The lab's folder.
        dir: PathBuf,
        /// The part.
        part: String,
    },
    /// Build an image of the test application and push it; print its digest.
    Push {
        /// The lab's folder.
        dir: PathBuf,
        /// How the application behaves: good, crash, slow, ...
        variant: String,
        /// The tag; also the release that the application names.
        tag: String,
        /// Further environment of the image, as NAME=VALUE.
        #[arg(long = "env")]
        environment: Vec<String>,
    },
    /// Build the image of a server and push it; print its digest.
    PushServer {
        /// The lab's folder.
        dir: PathBuf,
        /// front (nginx), postgres or redis.
        server: String,
        /// The tag.
        tag: String,
    },
    /// Fetch an http URL, of an address and a port, from the VPC and print the body; fails unless the answer is 200.
    Get {
        /// The lab's folder.
        dir: PathBuf,
        /// The URL.
        url: String,
    },
    /// Take a lab down.
    Down {
        /// The lab's folder.
        dir: PathBuf,
    },
    /// Print the path of the static test application, built if need be.
    App,
    /// The first process of a set of namespaces.
    #[command(hide = true)]
    Init {
        /// What they are to become.
        plan: PathBuf,
    },
    /// An instance's metadata service.
    #[command(hide = true)]
    Imds {
        /// What it says.
        metadata: PathBuf,
    },
    /// Take a lab down at the end of standard input.
    #[command(hide = true)]
    Janitor {
        /// The lab's folder.
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<ExitCode> {
    match action {
        Action::Up { dir } => drop(Lab::up_in(&dir)?),
        Action::Host { dir, name } => {
            let instance = Lab::attach(&dir)?.instance(&name)?;
            instance.boot()?;
            println!("{}", instance.ip());
        }
        Action::Exec { dir, name, command } => return exec(&dir, &name, &command),
        Action::Cut { dir, name } => Lab::attach(&dir)?.instance(&name)?.cut()?,
        Action::Boot { dir, name } => Lab::attach(&dir)?.instance(&name)?.boot()?,
        Action::Stop { dir, part } => change(&dir, &part, Change::Stop)?,
        Action::Start { dir, part } => change(&dir, &part, Change::Start)?,
        Action::Push { dir, variant, tag, environment } => {
            let mut spec = ImageSpec::new(&tag).variant(&variant);
            for variable in environment {
                let (name, value) = variable.split_once('=').context("--env is NAME=VALUE")?;
                spec = spec.environment(name, value);
            }
            push(&dir, &tag, &spec)?;
        }
        Action::PushServer { dir, server, tag } => {
            let spec = match server.as_str() {
                "front" => ImageSpec::front(&tag)?,
                "postgres" => ImageSpec::postgres()?,
                "redis" => ImageSpec::redis()?,
                _ => anyhow::bail!("there is no server '{server}': write front, postgres or redis"),
            };
            push(&dir, &tag, &spec)?;
        }
        Action::Get { dir, url } => {
            let response = Lab::attach(&dir)?.http_get(&url)?;
            println!("{}", response.text());
            return Ok(if response.status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Action::Down { dir } => Lab::down_in(&dir)?,
        Action::App => println!("{}", lab::application::binary()?.display()),
        Action::Init { plan } => lab::init::run(&plan)?,
        Action::Imds { metadata } => lab::imds::serve(&metadata)?,
        Action::Janitor { dir } => lab::run_janitor(&dir)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn push(dir: &std::path::Path, tag: &str, spec: &ImageSpec) -> Result<()> {
    println!("{}", Lab::attach(dir)?.registry().push_image(lab::names::REPOSITORY, tag, spec)?);
    Ok(())
}

fn exec(dir: &std::path::Path, name: &str, command: &[String]) -> Result<ExitCode> {
    let lab = Lab::attach(dir)?;
    let (program, arguments) = command.split_first().context("no command")?;
    let mut command =
        if name == "vpc" { lab.command(program)? } else { lab.instance(name)?.command(program) };
    if let Some(terminal) = std::env::var_os("TERM") {
        command.env("TERM", terminal);
    }
    let status = command.args(arguments).status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

#[derive(Clone, Copy, PartialEq)]
enum Change {
    Stop,
    Start,
}

/// Stops or starts a part of the VPC, or of an instance.
fn change(dir: &std::path::Path, part: &str, change: Change) -> Result<()> {
    let lab = Lab::attach(dir)?;
    let stop = change == Change::Stop;
    match part.split_once('/') {
        None if stop => lab.stop(part),
        None => lab.start(part),
        Some((name, "docker")) if stop => lab.instance(name)?.stop_docker(),
        Some((name, "docker")) => lab.instance(name)?.start_docker(),
        Some((name, "imds")) if stop => lab.instance(name)?.stop_metadata(),
        Some((name, "imds")) => lab.instance(name)?.start_metadata(),
        Some((_, part)) => anyhow::bail!("an instance has no {part}: write NAME/docker or NAME/imds"),
    }
}
