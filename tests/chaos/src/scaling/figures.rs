//! What was measured, for people and for programs.

use std::collections::BTreeMap;

use serde::Serialize;

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    pub throughput: Vec<Throughput>,
    /// With a recogniser that takes no time: what this machine's processors allow.
    pub limit: Option<Throughput>,
    /// Milliseconds from sending to the answer: median, with one daemon and with a fleet.
    pub run_ms: f64,
    pub fleet_ms: f64,
    /// Bytes of Redis for a message that waits in the queue alone.
    pub job_bytes: u64,
    /// And for one of a minute whose recording waits there too, and the bytes of its file.
    pub minute_bytes: u64,
    pub minute_file_bytes: u64,
    /// What a gateway and a worker take that have nothing to do.
    pub gateway: Rest,
    pub worker: Rest,
}

#[derive(Debug, Default, Serialize)]
pub struct Rest {
    pub resident_kib: u64,
    /// Its own processor time and that of Redis for it, in milliseconds a second.
    pub cpu_ms: f64,
    pub redis_ms: f64,
    /// Commands to Redis in a second.
    pub commands: f64,
    pub connections: f64,
}

#[derive(Debug, Default, Serialize)]
pub struct Throughput {
    pub workers: usize,
    pub messages: usize,
    pub per_minute: f64,
    /// Of what so many workers could do at most.
    pub of_linear: f64,
    /// Milliseconds of processor time for a message, by part.
    pub cpu_ms: BTreeMap<String, f64>,
    /// Commands and bytes for a message, both ways.
    pub redis_commands: f64,
    pub redis_bytes: f64,
}

impl Throughput {
    pub fn show(&self) {
        let cpu: Vec<_> = self.cpu_ms.iter().map(|(part, ms)| format!("{part} {ms:.1} ms")).collect();
        println!(
            "{:3} workers: {:7.0} messages a minute, {:.2} of linear; for a message: {}, {:.0} commands, {:.1} kB \
             to and from Redis",
            self.workers,
            self.per_minute,
            self.of_linear,
            cpu.join(", "),
            self.redis_commands,
            self.redis_bytes / 1000.0
        );
    }
}

impl Figures {
    pub fn show(&self) {
        if let Some(limit) = &self.limit {
            print!("recognition that takes no time, ");
            limit.show();
        }
        println!(
            "from sending to the answer: {:.1} ms with run, {:.1} ms with a fleet",
            self.run_ms, self.fleet_ms
        );
        println!(
            "Redis: {} bytes for a queued message, {} for one with its minute of speech, whose file has {}",
            self.job_bytes, self.minute_bytes, self.minute_file_bytes
        );
        for (name, rest) in [("gateway", &self.gateway), ("worker", &self.worker)] {
            let Rest { resident_kib, cpu_ms, redis_ms, commands, connections } = rest;
            println!(
                "{name} at rest: {resident_kib} KiB, {cpu_ms:.2} ms of a core a second, {redis_ms:.2} ms of Redis' \
                 core, {commands:.1} commands a second, {connections} connections"
            );
        }
    }
}
