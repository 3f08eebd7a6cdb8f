//! `exclusive`: one instance of a fleet at a time. The lock belongs to a connection to the very database that the task is about,
//! so whatever ends the connection, frees it.

use std::time::Duration;

use crate::deploy::checks::database;
use crate::deploy::clock::TO_END;
use crate::deploy::context::{Context, Gathered};
use crate::host::check::Trouble;
use crate::host::check::postgres::{AdvisoryLock, Database, Holder, Session, connect, holder, key_of};
use crate::journal::Facts;
use crate::model::{CheckName, Failure, Needed, ProcessName};
use crate::text::duration;

/// How many answers it takes to get the lock, at most: each may take the timeout of the check.
const ANSWERS: u32 = 6;

/// The lock of a task.
pub(super) struct Exclusive {
    lock: AdvisoryLock,
    task: ProcessName,
    check: CheckName,
}

/// What came of asking for the lock.
pub(super) enum Asked {
    /// It was free.
    Taken(Box<Exclusive>),
    /// Somebody else has it.
    Held(Box<Line>),
}

/// A place in the line of those who wait for the lock.
pub(super) struct Line {
    session: Session,
    database: Database,
    key: i64,
    timeout: Duration,
    by: Option<Holder>,
    task: ProcessName,
    check: CheckName,
}

/// Asks for the lock through the connection of a check, and does not wait for it.
pub(super) async fn ask(
    context: &Context<'_>,
    facts: &Facts,
    gathered: &mut Gathered,
    task: &ProcessName,
    check: &CheckName,
) -> Result<Asked, Failure> {
    let settings = context.settings();
    let Some((needed, timeout)) = settings.checks.get(check).map(|check| (&check.needed, check.timeout))
    else {
        return Err(Failure::because(format!("there is no check '{check}'")));
    };
    let Needed::Postgres(postgres) = needed else {
        return Err(Failure::because(format!("check '{check}' is of no PostgreSQL database")));
    };
    let failed = |trouble| no_lock(task, check, trouble);
    let secrets = gathered.secrets(context, facts).await?;
    let database = database(check, postgres, &secrets).map_err(failed)?;
    let key = key_of(&settings.app);
    let asking = async {
        let session = connect(&database, &called(context), timeout).await.map_err(failed)?;
        match AdvisoryLock::try_take(session, &database, key, timeout).await.map_err(failed)? {
            Ok(lock) => {
                let (task, check) = (task.clone(), check.clone());
                Ok(Asked::Taken(Box::new(Exclusive { lock, task, check })))
            }
            Err(session) => {
                let by = holder(&session, &database, key).await.ok().flatten();
                let (task, check, database) = (task.clone(), check.clone(), database.clone());
                Ok(Asked::Held(Box::new(Line { session, database, key, timeout, by, task, check })))
            }
        }
    };
    let time = timeout.saturating_mul(ANSWERS);
    let time = context.clock.left(TO_END).map_or(time, |left| time.min(left));
    match context.termination.unless_requested(tokio::time::timeout(time, asking)).await {
        None => Err(Failure::interrupted(&format!("asked for the lock of task '{task}'"))),
        Some(Ok(asked)) => asked,
        Some(Err(_)) => Err(Failure::with_fix(
            format!(
                "task '{task}' gets no lock through check '{check}': {} gave no answer within {}",
                database.place,
                duration(time)
            ),
            "look at the server's own log, and at its load",
        )),
    }
}

impl Line {
    /// Who has the lock, for people.
    pub(super) fn holder(&self) -> String {
        self.by.as_ref().map_or_else(|| "somebody else".to_owned(), by_whom)
    }

    /// Waits for the lock: as long as the task of whoever has it may take, if the hook's timeout leaves as much.
    pub(super) async fn wait(self, context: &Context<'_>, longest: Duration) -> Result<Exclusive, Failure> {
        let Self { session, database, key, timeout, by, task, check } = self;
        let by = by.map(|by| format!(" by {}", by_whom(&by))).unwrap_or_default();
        context.talk.say(&format!("  waiting: the lock is held{by}"));
        let left = context.clock.left(TO_END);
        let time = left.map_or(longest, |left| left.min(longest));
        let waiting = AdvisoryLock::take(session, &database, key, timeout);
        match context.termination.unless_requested(tokio::time::timeout(time, waiting)).await {
            None => Err(Failure::interrupted(&format!("waited for the lock of task '{task}'"))),
            Some(Ok(Ok(lock))) => Ok(Exclusive { lock, task, check }),
            Some(Ok(Err(trouble))) => Err(no_lock(&task, &check, trouble)),
            Some(Err(_)) => {
                let whose = if time < longest {
                    format!("which is all that {} had left", context.command)
                } else {
                    format!("which is the timeout of [task.{task}]")
                };
                let fix = if time < longest {
                    format!("raise the timeout of {} in appspec.yml, or look", context.command)
                } else {
                    "look".to_owned()
                };
                Err(Failure::with_fix(
                    format!(
                        "task '{task}' waited {} for the lock, {whose}, and another instance still has it{by}",
                        duration(time)
                    ),
                    format!(
                        "{fix} which instance, and at what: SELECT * FROM pg_stat_activity WHERE application_name LIKE 'handover%'"
                    ),
                ))
            }
        }
    }
}

impl Exclusive {
    /// Sees that it is held: minutes may have passed since it was taken.
    pub(super) async fn is_held(&mut self) -> Result<(), Failure> {
        self.lock.is_held().await.map_err(|trouble| no_lock(&self.task, &self.check, trouble))
    }

    /// Waits until it is lost, and says why.
    pub(super) async fn lost(&mut self) -> String {
        self.lock.lost().await.what
    }
}

fn no_lock(task: &ProcessName, check: &CheckName, trouble: Trouble) -> Failure {
    Failure::with_fix(
        format!("task '{task}' gets no lock through check '{check}': {}", trouble.what),
        trouble.fix,
    )
}

/// What the connection is called in the database: who looks there, sees which instance it is.
fn called(context: &Context<'_>) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("handover {} {}", context.header.app, host.trim())
}

fn by_whom(holder: &Holder) -> String {
    let from = if holder.address.is_empty() { String::new() } else { format!(" ({})", holder.address) };
    format!("'{}'{from}", holder.application)
}
