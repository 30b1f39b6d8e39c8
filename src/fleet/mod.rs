//! Recognition by other processes: a gateway hands its recordings over to workers, through Redis.
//! ARCHITECTURE has the reasons, `queue::fleet` what both sides share.
//!
//! ```text
//! gateway        the transcriber of a gateway; room: the budget in Redis
//! transcription  a recording that workers recognise, as the gateway sees it
//! worker         takes assignments and recognises them
//! keeper         renews a lease
//! in_hand        what a worker knows of the recordings in its hands
//! ```

pub mod gateway;
mod in_hand;
mod keeper;
mod room;
mod transcription;
pub mod worker;

pub use self::gateway::{FleetTranscriber, GatewayObserver, GatewayOptions};
pub use self::in_hand::InHand;
pub use self::worker::{FleetWorker, WorkerObserver, WorkerOptions};
