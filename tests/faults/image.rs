//! Images that are no good. Most of them show it only when they run, and then live was stopped: the order of these tests is
//! stop-first.

use anyhow::Result;
use insta::assert_snapshot;
use lab::ImageSpec;
use lab::names::REPOSITORY;
use world::Bundle;

use crate::case::Case;

const KIND: &str = "image";
const DEADLINE: (&str, &str) = ("deadline    = \"2m\"", "deadline = \"2s\"");

/// A case with an image that behaves like this, under the tag `bad`, and the bundle that deploys it.
fn with(variant: &str, fault: &'static str) -> Result<(Case, Bundle)> {
    let case = Case::of(KIND, fault)?;
    case.world.push("bad", variant)?;
    Ok((case, Bundle::of("bad").edit(DEADLINE.0, DEADLINE.1)))
}

#[test]
fn one_that_exits_at_once() -> Result<()> {
    let (case, bundle) = with("crash", "exits at once")?;
    let told = case.put_back(&bundle)?;
    assert_snapshot!(told, @r"
    ApplicationStart ends with 1
    why:   container 'status-page-web.r2' is not healthy: it exited with code 1
    the container's last lines:
      | app bad starts as crash
      | app: crashing, as I was told
    gap:   nothing answered for N s
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/web.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    told.next_shows(&case.world, "crashing, as I was told")?;
    case.mended()
}

#[test]
fn one_that_never_listens() -> Result<()> {
    let (case, bundle) = with("never-listens", "never listens")?;
    let told = case.put_back(&bundle)?;
    assert_snapshot!(told, @r"
    ApplicationStart ends with 1
    why:   container 'status-page-web.r2' is not healthy: it was not healthy within 2 s: of N probes 0 succeeded, and
           the last one that failed could not connect to ADDRESS:8000: Connection refused (os error 111); nothing in
           the container listens on any port
    the container's last lines:
      | app bad starts as never-listens
    gap:   nothing answered for N s
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/web.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    told.next_shows(&case.world, "starts as never-listens")?;
    case.mended()
}

#[test]
fn one_that_answers_500() -> Result<()> {
    let (case, bundle) = with("error", "answers 500")?;
    let told = case.put_back(&bundle)?;
    assert_snapshot!(told, @r#"
    ApplicationStart ends with 1
    why:   container 'status-page-web.r2' is not healthy: it was not healthy within 2 s: of N probes 0 succeeded, and
           the last one that failed was answered with status 500 after N ms: '{"error":"as I was told","release":"bad"}'
    fix:   look at what it needs: the database (is it reachable, are all migrations made?), its secrets and its settings
    the container's last lines:
      | app bad starts as error
      | app listens on 8000
    gap:   nothing answered for N s
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/web.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    told.next_shows(&case.world, "starts as error")?;
    case.mended()
}

#[test]
fn one_that_answers_once() -> Result<()> {
    let (case, bundle) = with("flaky", "answers 200 once and then 500")?;
    let told = case.put_back(&bundle)?;
    assert_snapshot!(told, @r#"
    ApplicationStart ends with 1
    why:   container 'status-page-web.r2' is not healthy: it was not healthy within 2 s: of N probes 1 succeeded, and
           the last one that failed was answered with status 500 after N ms: '{"error":"as I was told","release":"bad"}'
    the container's last lines:
      | app bad starts as flaky
      | app listens on 8000
    gap:   nothing answered for N s
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/web.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    told.next_shows(&case.world, "starts as flaky")?;
    case.mended()
}

#[test]
fn one_that_eats_its_memory() -> Result<()> {
    let (case, bundle) = with("eat-memory", "is killed for its memory")?;
    let told = case.put_back(&bundle.edit("\"256m\"", "\"24m\"").edit("\"200ms\"", "\"1s\""))?;
    assert_snapshot!(told, @r"
    ApplicationStart ends with 1
    why:   container 'status-page-web.r2' is not healthy: the kernel killed one of its processes, because it reached its
           memory limit of 24 MiB (OOM)
    the container's last lines:
      | app bad starts as eat-memory
      | app listens on 8000
    gap:   nothing answered for N s
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/web.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    told.next_shows(&case.world, "starts as eat-memory")?;
    case.mended()
}

#[test]
fn one_that_ignores_sigterm() -> Result<()> {
    let (case, bundle) = with("ignore-term", "ignores SIGTERM, and is not healthy")?;
    let health = "http        = \"/health\"";
    let bundle = bundle.edit(health, &format!("port = 8001\n{health}")).edit("\"35s\"", "\"1s\"");
    assert_snapshot!(case.put_back(&bundle)?, @r"
    ApplicationStart ends with 1
    why:   container 'status-page-web.r2' is not healthy: it was not healthy within 2 s: of N probes 0 succeeded, and
           the last one that failed could not connect to ADDRESS:8001: Connection refused (os error 111); in the
           container listens port 8000
    fix:   let the app listen on 8001, or write its port into 'publish' of [process.web] and, if it stands there, as port
           = 8000 into [process.web.health]
    the container's last lines:
      | app bad starts as ignore-term
      | app listens on 8000
    gap:   nothing answered for N s
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/web.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended()
}

#[test]
fn a_live_release_that_ignores_sigterm() -> Result<()> {
    let (case, bundle) = with("ignore-term", "live ignores SIGTERM")?;
    case.succeeds(&bundle.edit("\"35s\"", "\"1s\""))?;
    case.mended()
}

#[test]
fn a_command_that_is_not_in_the_image() -> Result<()> {
    let case = Case::of(KIND, "command is not in the image")?;
    let bundle = Bundle::of("v2").edit("[process.web]", "[process.web]\ncommand = [\"/gunicorn\"]");
    let mut image = ImageSpec::new("v2");
    image.entrypoint = Vec::new();
    case.world.lab.registry().push_image(REPOSITORY, "v2", &image)?;
    let told = case.put_back(&bundle)?;
    if case.engine.major > 20 {
        assert_snapshot!(told, @r#"
        ApplicationStart ends with 1
        why:   Docker refuses to start container 'ID': failed to create task for container: failed to create shim
               task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/gunicorn":
               stat /gunicorn: no such file or directory
        fix:   the image has no such program: correct 'command' in [process.web], or the image
        gap:   nothing answered for N s
        now:   status-page-web (r1) is running
        next:  handover status
        handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
        "#);
    } else {
        assert_snapshot!(told, @r#"
        ApplicationStart ends with 1
        why:   Docker refuses to start container 'ID': failed to create shim task: OCI runtime create failed: runc
               create failed: unable to start container process: exec: "/gunicorn": stat /gunicorn: no such file or
               directory: unknown
        fix:   the image has no such program: correct 'command' in [process.web], or the image
        gap:   nothing answered for N s
        now:   status-page-web (r1) is running
        next:  handover status
        handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
        "#);
    }
    case.world.push("v2", "good")?;
    case.mended()
}

fn another_architecture() -> &'static str {
    if ImageSpec::new("").architecture == "arm64" { "amd64" } else { "arm64" }
}

#[test]
fn an_index_without_this_platform() -> Result<()> {
    let case = Case::of(KIND, "index without this platform")?;
    let mut image = ImageSpec::new("v2");
    another_architecture().clone_into(&mut image.architecture);
    case.world.lab.registry().push_index(REPOSITORY, "v2", &[image])?;
    assert_snapshot!(case.refused(&Bundle::of("v2"))?, @r"
    BeforeInstall ends with 1
    why:   '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page:v2' is for linux/arm64, and this machine is
           linux/amd64
    fix:   build it for linux/amd64 too (docker buildx build --platform linux/amd64)
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.world.push("v2", "good")?;
    case.mended()
}

#[test]
fn an_image_for_another_platform() -> Result<()> {
    let case = Case::of(KIND, "single image for another platform")?;
    let mut image = ImageSpec::new("v2");
    another_architecture().clone_into(&mut image.architecture);
    // A program of that platform: what this machine cannot run.
    image.without_application = true;
    image.files = vec![("/app".to_owned(), b"\x7fELF of another machine".to_vec(), 0o755)];
    case.world.lab.registry().push_image(REPOSITORY, "v2", &image)?;
    assert_snapshot!(case.refused(&Bundle::of("v2"))?, @r"
    BeforeInstall ends with 1
    why:   '123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page:v2' is for linux/arm64, and this machine is
           linux/amd64
    fix:   build it for linux/amd64 too (docker buildx build --platform linux/amd64)
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.world.push("v2", "good")?;
    case.mended()
}

#[test]
fn one_that_answers_only_to_its_own_name() -> Result<()> {
    let case = Case::of(KIND, "answers 400 to a Host that it does not know")?;
    let picky = ImageSpec::new("bad").environment("ONLY_HOST", "status.example.com");
    case.world.lab.registry().push_image(REPOSITORY, "bad", &picky)?;
    let bundle = Bundle::of("bad");
    assert_snapshot!(case.put_back(&bundle.clone().edit(DEADLINE.0, DEADLINE.1))?, @r#"
    ApplicationStart ends with 1
    why:   container 'status-page-web.r2' is not healthy: it was not healthy within 2 s: of N probes 0 succeeded, and
           the last one that failed was answered with status 400 after N ms: '{"error":"host 'ADDRESS:8000' is not
           mine"}'
    fix:   the Host header of the probe was the address, ADDRESS:8000: write host = "NAME" into [process.web.health],
           a name that the app answers to (Django: one of ALLOWED_HOSTS)
    the container's last lines:
      | app bad starts as good
      | app listens on 8000
    gap:   nothing answered for N s
    now:   status-page-web (r1) is running
    next:  tail -n 50 /var/lib/handover/status-page/releases/2/web.log
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    // What the fix says.
    let health = "http        = \"/health\"";
    case.mended_by(&bundle.edit(health, &format!("host = \"status.example.com\"\n{health}")))
}

#[test]
fn one_whose_data_nobody_keeps() -> Result<()> {
    let case = Case::of(KIND, "VOLUME that nothing covers")?;
    let mut image = ImageSpec::new("v2");
    image.volumes = vec!["/media".to_owned()];
    case.world.lab.registry().push_image(REPOSITORY, "v2", &image)?;
    assert_snapshot!(case.refused(&Bundle::of("v2"))?, @r#"
    BeforeInstall ends with 1
    why:   the image declares VOLUME '/media', and [process.web] mounts nothing there: each release begins with an empty
           one
    fix:   keep it: volumes = ["status-page-web-data:/media"]; or, if it may be lost with each release: anonymous-volumes
           = ["/media"]
    now:   status-page-web (r1) is running
    next:  handover plan BUNDLE --group test
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    "#);
    case.mended_by(&Bundle::of("v2").edit("[process.web]", "[process.web]\nvolumes = [\"media:/media\"]"))
}

#[test]
fn a_user_that_is_not_in_it() -> Result<()> {
    let case = Case::of(KIND, "'user' is not in the image")?;
    let told =
        case.put_back(&Bundle::of("v2").edit("[process.web]\n", "[process.web]\nuser = \"django\"\n"))?;
    assert_snapshot!(told, @r"
    ApplicationStart ends with 1
    why:   Docker refuses to start container 'ID': unable to find user django: no matching entries in passwd
           file
    fix:   the image has no user 'django' in /etc/passwd: correct 'user' in [process.web], or write a number, which needs
           no entry there
    gap:   nothing answered for N s
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended_by(&Bundle::of("v2").edit("[process.web]\n", "[process.web]\nuser = \"1000\"\n"))
}

#[test]
fn a_task_whose_user_is_not_in_it() -> Result<()> {
    let case = Case::of(KIND, "'user' of a task is not in the image")?;
    let task = "[task.smoke]\ncommand = [\"smoke\"]\n[process.web]\n";
    let wrong = task.replace("[process", "user = \"django\"\n[process");
    assert_snapshot!(case.refused(&Bundle::of("v2").edit("[process.web]\n", &wrong))?, @r"
    AfterInstall ends with 1
    why:   Docker refuses to start container 'ID': unable to find user django: no matching entries in passwd
           file
    fix:   the image has no user 'django' in /etc/passwd: correct 'user' in [task.smoke], or write a number, which needs
           no entry there
    now:   status-page-web (r1) is running
    next:  handover status
    handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
    ");
    case.mended_by(&Bundle::of("v2").edit("[process.web]\n", task))
}

#[test]
fn a_folder_where_a_file_is_rendered() -> Result<()> {
    let case = Case::of(KIND, "a rendered file is put where the image has a folder")?;
    let mut image = ImageSpec::new("v2");
    image.files = vec![("/srv/settings/old.py".to_owned(), b"# old".to_vec(), 0o644)];
    case.world.lab.registry().push_image(REPOSITORY, "v2", &image)?;
    let at = |path: &str| {
        let file = format!(
            "[process.web.file.\"{path}\"]\ntemplate = \"templates/settings.py\"\n[process.web.health]\n"
        );
        Bundle::of("v2").edit("[process.web.health]\n", &file).file("templates/settings.py", "# new\n")
    };
    let told = case.put_back(&at("/srv/settings"))?;
    if case.engine.in_containerd {
        assert_snapshot!(told, @r#"
        ApplicationStart ends with 1
        why:   Docker refuses to start container 'ID': failed to create task for container: failed to create shim
               task: OCI runtime create failed: runc create failed: unable to start container process: error during container
               init: error mounting "/var/lib/handover/status-page/releases/2/files/web/srv/ ... o rootfs at "/srv/settings":
               mount /var/lib/handover/status-page/releases/2/files/web/srv/settings:/srv/settings (via /proc/self/fd/N),
               flags: 0x5000: not a directory: Are you trying to mount a directory onto a file (or vice-versa)? Check if the
               specified host path exists and is the expected type
        fix:   a file is mounted at '/srv/settings' where the image has a folder, or a folder where it has a file: write the
               whole path, such as [process.web.file."/srv/settings/NAME"], or correct 'volumes'
        gap:   nothing answered for N s
        now:   status-page-web (r1) is running
        next:  handover status
        handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
        "#);
    } else {
        assert_snapshot!(told, @r#"
        ApplicationStart ends with 1
        why:   Docker refuses to start container 'ID': failed to create shim task: OCI runtime create failed: runc
               create failed: unable to start container process: error during container init: error mounting
               "/var/lib/handover/status-page/releases/2/files/web/srv/settings" to rootfs at "/srv/settings": mount
               /var/lib/handover/status-page/releases/2/files/web/srv/settings:/srv/settings (via /proc/self/fd/N), flags:
               0x5001: not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)? Check if
               the specified host path exists and is the expected type
        fix:   a file is mounted at '/srv/settings' where the image has a folder, or a folder where it has a file: write the
               whole path, such as [process.web.file."/srv/settings/NAME"], or correct 'volumes'
        gap:   nothing answered for N s
        now:   status-page-web (r1) is running
        next:  handover status
        handover: FAILED (exit 1): status-page r2 was refused, the old release is serving
        "#);
    }
    case.mended_by(&at("/srv/settings/new.py"))
}
