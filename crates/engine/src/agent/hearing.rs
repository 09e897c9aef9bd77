//! One turn as it is heard: a reader and the record that it fills.

use amps_core::exit::Exit;
use amps_core::time::Moment;
use amps_core::turn::{AgentEvent, TurnLog, TurnRecord};

use super::{Agent, Reader, TurnOrder};

/// Hears one turn of an agent.
#[derive(Debug)]
pub struct Hearing {
    reader: Box<dyn Reader>,
    log: TurnLog,
}

impl Hearing {
    /// Begins to hear the turn that was ordered.
    pub fn new(agent: &dyn Agent, order: &TurnOrder<'_>) -> Self {
        Self {
            reader: agent.reader(order),
            log: TurnLog::new(order.model),
        }
    }

    /// Hears a line, without its end. Returns what it tells as it may be shown and stored: bounded,
    /// known secrets masked.
    pub fn hear(&mut self, line: &[u8], at: Moment) -> Vec<AgentEvent> {
        let mut events = Vec::new();
        self.reader.hear(line, &mut events);
        let noted = events.into_iter().map(|event| self.log.note(event, at));
        noted.collect()
    }

    /// Ends the turn: nothing more comes. Returns its record.
    pub fn finish(mut self, exit: Option<Exit>, at: Moment) -> TurnRecord {
        let mut events = Vec::new();
        self.reader.end(exit, &mut events);
        for event in events {
            self.log.note(event, at);
        }
        self.log.finish(exit)
    }
}
