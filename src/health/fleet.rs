//! What gateways and workers tell of themselves.

use std::time::Duration;

use tokio::time::Instant;

use super::facts::{FleetFacts, Outcome, RunningJob};
use super::limits::BETWEEN_OPERATIONS_LIMIT;
use super::state::HealthState;
use crate::domain::JobId;
use crate::queue::QueueError;
use crate::queue::fleet::{Report, Seen};

impl HealthState {
    /// The workers of the fleet, and whether one of them takes what this gateway hands over.
    pub fn workers_seen(&self, workers: &[Seen], is_served: bool) {
        let fleet = FleetFacts { workers: workers.to_vec(), at: Some(Instant::now()), is_served };
        self.change(|facts| facts.fleet = fleet);
    }

    /// A worker has reported on the recognition of a stretch.
    pub fn recognised_elsewhere(&self, id: JobId, report: &Report) {
        self.recognition_took(id, Duration::from_millis(report.took));
        self.change(|facts| {
            facts.repeated += report.repeated;
            for (reason, count) in &report.dropped {
                if let Some(known) = facts.dropped.get_mut(reason.as_str()) {
                    *known += count;
                }
            }
        });
    }

    /// This worker begins with an assignment.
    pub fn assignment_taken(&self, id: JobId) {
        self.change(|facts| facts.running.insert(id, RunningJob::new()));
    }

    /// This worker is done with an assignment; `None` if it has given it back.
    pub fn assignment_ended(&self, id: JobId, outcome: Option<Outcome>) {
        self.job_ended(id, outcome);
    }

    /// Another worker has taken over what this one had.
    pub fn lease_lost(&self) {
        self.change(|facts| facts.leases_lost += 1);
    }

    /// Redis has answered a worker, or failed to: to what was asked for this job, if it was one.
    /// Waiting for a Redis that is away is no stall.
    pub fn redis_answered(&self, job: Option<JobId>, error: Option<&QueueError>) {
        if let Some(job) = job {
            self.pulse_of(job).beat(BETWEEN_OPERATIONS_LIMIT);
        }
        if error.is_none() && !self.facts().queue_open {
            self.change(|facts| facts.queue_open = true);
        }
        self.store_answered(error);
    }
}
