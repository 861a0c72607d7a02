//! Commands from stdin, events to stdout.
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinHandle;

/// A line of stdin; its members are described in ../../README.md.
pub struct Command {
    pub action: String,
    pub url: String,
    pub era: String,
    pub call: String,
    pub tool: String,
    pub args: Map<String, Value>,
}

impl Command {
    fn from(line: &Value) -> Self {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        Self {
            action: text("do"),
            url: text("url"),
            era: text("era"),
            call: text("call"),
            tool: text("tool"),
            args: line["args"].as_object().cloned().unwrap_or_default(),
        }
    }
}

pub fn tell(event: &str, mut more: Value) {
    more["event"] = json!(event);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{more}").expect("stdout is open");
    out.flush().expect("stdout is open");
}

/// One connection. Its commands arrive in order; its calls run side by side.
pub struct Actor {
    pub name: String,
    sender: UnboundedSender<Command>,
    receiver: Mutex<UnboundedReceiver<Command>>,
    answers: Semaphore,
}

impl Actor {
    fn new(name: &str) -> Arc<Self> {
        let (sender, receiver) = unbounded_channel();
        Arc::new(Self { name: name.to_owned(), sender, receiver: Mutex::new(receiver), answers: Semaphore::new(0) })
    }

    pub async fn next(&self) -> Option<Command> {
        self.receiver.lock().await.recv().await
    }

    /// Reports a question of the server and waits for the command that answers it.
    pub async fn ask(&self) {
        tell("asked", json!({ "client": self.name }));
        self.answers.acquire().await.expect("never closed").forget();
    }
}

/// Runs commands until stdin ends.
pub async fn obey(live: impl Fn(Arc<Actor>, Command) -> JoinHandle<()>) {
    let mut actors: HashMap<String, Arc<Actor>> = HashMap::new();
    let mut lines = BufReader::new(stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let line: Value = serde_json::from_str(&line).expect("a command is JSON");
        let name = line["client"].as_str().expect("a command names its client");
        let command = Command::from(&line);
        match command.action.as_str() {
            "connect" => {
                let actor = Actor::new(name);
                actors.insert(name.to_owned(), actor.clone());
                live(actor, command);
            }
            "answer" => actors[name].answers.add_permits(1),
            _ => actors[name].sender.send(command).unwrap_or_default(),
        }
    }
    // Open connections end with the process.
    std::process::exit(0);
}
