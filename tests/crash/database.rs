//! A `PostgreSQL` that knows advisory locks and nothing else, in the test's own process.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{SECRET, World};

/// Who has the lock: a session by its number, or another instance of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Session(u32),
    AnotherInstance,
}

#[derive(Default)]
struct State {
    sessions: u32,
    holder: Option<Holder>,
    waiting: BTreeSet<u32>,
}

/// It ends with the test's runtime.
#[derive(Clone)]
pub struct Database {
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Database {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let database = Self { state: Arc::default(), port };
        let state = Arc::clone(&database.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(session(stream, Arc::clone(&state)));
            }
        });
        database
    }

    /// From now on the migration takes its lock.
    pub fn locks(&self, world: &World) {
        let secret = serde_json::json!({ "username": "sp", "password": SECRET, "port": self.port });
        world.aws.set_secret(&secret.to_string());
        world.edit("fields = { host = \"db.internal\" }", "fields = { host = \"127.0.0.1\" }");
        let check =
            "[check.database]\npostgres = { secret = \"database\", tls = \"disable\" }\ntimeout = \"5s\"\n";
        world.edit("[task.migrate]\n", &format!("{check}[task.migrate]\nexclusive = \"check.database\"\n"));
    }

    pub fn another_instance_has_it(&self) {
        self.state.lock().unwrap().holder = Some(Holder::AnotherInstance);
    }

    pub fn another_instance_is_done(&self) {
        let mut state = self.state.lock().unwrap();
        assert_eq!(state.holder.take(), Some(Holder::AnotherInstance));
    }

    /// Whether one of this world's own has it.
    pub fn is_locked(&self) -> bool {
        matches!(self.state.lock().unwrap().holder, Some(Holder::Session(_)))
    }

    pub fn is_waited_for(&self) -> bool {
        !self.state.lock().unwrap().waiting.is_empty()
    }
}

/// A connection until its end, which frees what it holds.
async fn session(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let number = {
        let mut state = state.lock().unwrap();
        state.sessions += 1;
        state.sessions
    };
    let _ = talk(&mut stream, &state, number).await;
    let mut state = state.lock().unwrap();
    state.waiting.remove(&number);
    if state.holder == Some(Holder::Session(number)) {
        state.holder = None;
    }
}

async fn talk(stream: &mut TcpStream, state: &Mutex<State>, number: u32) -> std::io::Result<()> {
    let length = stream.read_u32().await?;
    read(stream, length).await?;
    // Let in without a password, and ready.
    message(stream, b'R', &0_u32.to_be_bytes()).await?;
    message(stream, b'Z', b"I").await?;
    while stream.read_u8().await? == b'Q' {
        let length = stream.read_u32().await?;
        let question = String::from_utf8_lossy(&read(stream, length).await?).into_owned();
        let mut more = [0];
        let answer = tokio::select! {
            answer = answer(&question, state, number) => answer,
            // A client that waits says nothing more, but that it goes.
            _ = stream.peek(&mut more), if question.contains("pg_advisory_lock") => return Ok(()),
        };
        let columns = u16::try_from(answer.len()).unwrap().to_be_bytes();
        let (mut description, mut row) = (columns.to_vec(), columns.to_vec());
        for value in &answer {
            // A name, no table and no column, text of any length.
            description.extend_from_slice(b"x\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0");
            row.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
            row.extend_from_slice(value.as_bytes());
        }
        message(stream, b'T', &description).await?;
        message(stream, b'D', &row).await?;
        message(stream, b'C', b"SELECT 1\0").await?;
        message(stream, b'Z', b"I").await?;
    }
    Ok(())
}

async fn answer(question: &str, state: &Mutex<State>, number: u32) -> Vec<String> {
    let mine = Holder::Session(number);
    let take = || {
        let mut state = state.lock().unwrap();
        let is_taken = *state.holder.get_or_insert(mine) == mine;
        if is_taken {
            state.waiting.remove(&number)
        } else {
            state.waiting.insert(number)
        };
        is_taken
    };
    let one = |value: &str| vec![value.to_owned()];
    if question.contains("pg_try_advisory_lock") {
        let is_taken = take();
        state.lock().unwrap().waiting.remove(&number);
        return one(if is_taken { "t" } else { "f" });
    }
    if question.contains("pg_advisory_lock") {
        while !take() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        return one("");
    }
    if question.starts_with("SELECT count(*)") {
        let is_mine = state.lock().unwrap().holder == Some(mine);
        return one(if is_mine { "1" } else { "0" });
    }
    if question.contains("application_name") {
        return vec!["handover status-page web-2".to_owned(), "10.0.0.2".to_owned()];
    }
    vec![number.to_string()]
}

/// The rest of a message, whose length counts itself.
async fn read(stream: &mut TcpStream, length: u32) -> std::io::Result<Vec<u8>> {
    let mut rest = vec![0; length.saturating_sub(4) as usize];
    stream.read_exact(&mut rest).await?;
    Ok(rest)
}

async fn message(stream: &mut TcpStream, kind: u8, content: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(content.len() + 4).unwrap().to_be_bytes();
    stream.write_all(&[&[kind], length.as_slice(), content].concat()).await
}
