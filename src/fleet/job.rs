//! The job of an assignment, as far as a worker knows it.

use crate::domain::{Job, Peer, PeerKind, Recording, RecordingKind, Settings};
use crate::queue::fleet::{Lease, Order};

/// With nothing of its chat but the id.
pub(super) fn job_of(lease: &Lease) -> Job {
    let Lease { job, order, size, .. } = lease;
    let recording = Recording {
        chat: Peer { kind: PeerKind::User, id: job.chat, access_hash: 0 },
        thread: None,
        kind: RecordingKind::Voice,
        document: 0,
        outgoing: false,
        date: 0,
        lifetime: None,
        duration: order.duration,
        size: *size as u64,
    };
    let asked = order.asked.then(Default::default);
    Job { id: *job, recording, settings: Some(settings_of(lease)), stranger: false, asked }
}

pub(super) fn settings_of(lease: &Lease) -> Settings {
    let Order { language, task, chat_vocabulary, people, .. } = &lease.order;
    Settings {
        language: *language,
        task: *task,
        vocabulary: chat_vocabulary.clone(),
        people: Some(people.clone()),
        ..Settings::default()
    }
}
